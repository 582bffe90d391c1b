import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from tg_pipeline.contracts.errors import TRY_LATER, DiskFull, StorageError
from tg_pipeline.machine.atomic import STALE_SECONDS, replace, sweep, writing
from tg_pipeline_tests.storage.full_disk import run_on_full_disk


@pytest.fixture(params=["path", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    match request.param:
        case "path":
            yield UPath(tmp_path / "a" / "b")
        case "file":
            yield UPath(f"file://{tmp_path}/a/b")
        case _:
            root = UPath(f"memory://{uuid.uuid4().hex}/a")
            yield root
            root.fs.rm(root.path, recursive=True)


def test_a_block_that_ends_replaces_the_file_and_leaves_nothing_else(place: UPath) -> None:
    for text in (b"first", b"second"):
        with replace(place / "x.json") as stream:
            stream.write(text)
        assert (place / "x.json").read_bytes() == text
    assert [path.name for path in place.iterdir()] == ["x.json"]


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(place: UPath) -> None:
    with replace(place / "x.json") as stream:
        stream.write(b"first")
    with pytest.raises(TypeError, match="bytes-like"), replace(place / "x.json") as stream:
        stream.writelines([b"sec", None])  # type: ignore[list-item]
    assert (place / "x.json").read_bytes() == b"first"
    assert [path.name for path in place.iterdir()] == ["x.json"]


def test_readers_see_the_old_file_until_the_block_ends(place: UPath) -> None:
    with replace(place / "x.json") as stream:
        stream.write(b"first")
    with replace(place / "x.json") as stream:
        stream.write(b"second")
        stream.flush()
        assert (place / "x.json").read_bytes() == b"first"


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with replace(UPath(tmp_path / "x")) as stream:
        stream.write(b"x")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_file_in_place_of_a_folder_is_a_sentence_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    path = UPath(tmp_path / "data" / "2025" / "x.json")
    with pytest.raises(StorageError, match=f"^{path} .*Not a directory"), replace(path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_the_operating_system_refuses_is_a_sentence(number: int) -> None:
    with pytest.raises(StorageError, match=rf"^/data/x .*{os.strerror(number)}"), writing("/data/x"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(("number", "is_full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)])
def test_what_may_have_space_again_is_worth_trying_later(number: int, is_full: bool) -> None:
    with pytest.raises(StorageError) as caught, writing("/data/x"):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value, TRY_LATER) == isinstance(caught.value, DiskFull) == is_full


def test_a_disk_that_is_full_costs_nothing_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"before")
    said = run_on_full_disk(
        """
        from upath import UPath
        from tg_pipeline.machine.atomic import replace
        try:
            with replace(UPath(sys.argv[1])) as stream:
                for _ in range(100):
                    stream.write(b"x" * 1_000)
        except StorageError as error:
            print(error)
        """,
        path,
    )
    assert said == f"{path} cannot be written: File too large. What was there before is untouched.\n"
    assert path.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_only_temporary_files_of_killed_runs_are_swept(tmp_path: Path) -> None:
    old = time.time() - STALE_SECONDS - 1
    for name in (".x.json.aa.tmp", ".y.json.bb.tmp", "x.json", "notes.tmp"):
        (tmp_path / name).touch()
        if not name.startswith(".y"):
            os.utime(tmp_path / name, (old, old))
    sweep(UPath(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".y.json.bb.tmp", "notes.tmp", "x.json"]


def test_whoever_is_alone_sweeps_what_is_young_too(tmp_path: Path) -> None:
    (tmp_path / ".a.json.0.tmp").touch()
    (tmp_path / "a.json").touch()
    sweep(UPath(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
    sweep(UPath(tmp_path), alone=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_sweeping_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    sweep(UPath(tmp_path / "absent"))
