import os
import subprocess
import sys
import uuid
from datetime import date, timedelta
from pathlib import Path

import orjson
import pytest
from upath import UPath

from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.progress import Progress
from tg_pipeline_tests.storage.samples import DAY, SLUG, commit, record


@pytest.fixture
def progress(store: FileArchive) -> Progress:
    return store.progress


def content(store: FileArchive) -> dict[str, object]:
    found: dict[str, object] = orjson.loads((store.root / "progress.json").read_bytes())
    return found


def chat(mark: int | None, *, days: int = 1, **open_days: int) -> dict[str, object]:
    """The file of a chat of which so many days from DAY on are sealed."""
    pointers = {day.replace("_", "-").removeprefix("d"): {"last_processed_msg_id": n} for day, n in open_days.items()}
    ends = {
        "first_day": str(DAY) if days else None,
        "last_day": str(DAY + timedelta(days=days - 1)) if days else None,
    }
    chats = {SLUG: {"high_water_mark": mark, **ends, "days": pointers, "unreadable": None}}
    return {"schema_version": "1.0.0", "timezone": "UTC", "chats": chats}


def test_a_day_in_flight_has_a_pointer_and_a_sealed_one_none(store: FileArchive, progress: Progress) -> None:
    progress.advance(SLUG, DAY, 5)
    assert content(store) == chat(None, days=0, d2025_03_14=5)
    progress.commit(SLUG, DAY, 9, sealed=True)
    assert content(store) == chat(9)
    progress.commit(SLUG, DAY + timedelta(days=1), 12, sealed=False)
    assert content(store) == chat(12, d2025_03_15=12)
    assert progress.read().model_dump(mode="json") == content(store)


def test_the_high_water_mark_only_rises(progress: Progress) -> None:
    progress.commit(SLUG, DAY, 9, sealed=True)
    progress.commit(SLUG, DAY - timedelta(days=1), 4, sealed=True)
    progress.commit(SLUG, DAY, None, sealed=False)
    assert progress.read().chats[SLUG].model_dump() == {
        "high_water_mark": 9, "first_day": DAY - timedelta(days=1), "last_day": DAY, "days": {}, "unreadable": None,
    }  # fmt: skip


def test_nothing_new_is_not_written(store: FileArchive, progress: Progress) -> None:
    progress.commit(SLUG, DAY, 9, sealed=True)
    before = (store.root / "progress.json").stat().st_mtime_ns
    progress.commit(SLUG, DAY, 9, sealed=True)
    assert (store.root / "progress.json").stat().st_mtime_ns == before


WRITER = """
import sys
from datetime import date, timedelta
from pathlib import Path
from upath import UPath
from tg_pipeline.storage.file_archive import FileArchive
progress = FileArchive(UPath(sys.argv[1]), Path(sys.argv[1], "locks")).progress
for n in range(60):
    progress.advance(sys.argv[2], date(2025, 1, 1) + timedelta(days=n), n)
    progress.commit("both", date(2025, 1, 1), int(sys.argv[3]) * 1000 + n, sealed=True)
"""


def test_several_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, slug, number]) for slug, number in (("a", "1"), ("b", "2"))]
    assert [writer.wait() for writer in writers] == [0, 0]
    state = FileArchive(UPath(tmp_path)).progress.read()
    assert {slug: len(chat.days) for slug, chat in state.chats.items()} == {"a": 60, "b": 60, "both": 0}
    assert state.chats["both"].high_water_mark == 2_059


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"chats": 3}', b'{"schema_version": "9.9.9"}', b'{"chats": {"../x": {}}}', b'{"other": 1}'],
)
def test_a_corrupt_file_is_set_aside_and_rebuilt_from_the_days(
    store: FileArchive, progress: Progress, scratch: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    for n in range(4):
        day = DAY + timedelta(days=n)
        commit(store, scratch, [record(n * 10 + 1, day=day)] if n != 1 else [], day=day, sealed=n < 3)
    path = store.root / "progress.json"
    path.write_bytes(text)
    rebuilt = chat(31, days=4, d2025_03_17=31)
    assert progress.read().model_dump(mode="json") == rebuilt
    assert path.read_bytes() == text, "reading changes nothing"
    progress.commit(SLUG, DAY, 1, sealed=True)
    assert content(store) == rebuilt
    assert (store.root / "progress.json.corrupt-1").read_bytes() == text
    assert "rebuilt from the day files" in caplog.text
    path.write_bytes(b"again")
    progress.commit(SLUG, DAY, 1, sealed=True)
    assert (store.root / "progress.json.corrupt-2").read_bytes() == b"again"


def test_a_damaged_day_does_not_stop_the_rebuilding(
    store: FileArchive, progress: Progress, scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commit(store, scratch, [record(1)])
    after = date(2025, 3, 15)
    commit(store, scratch, [record(9, day=after)], day=after)
    store.path(SLUG, after).write_bytes(b"{")
    (store.root / "progress.json").unlink()
    assert progress.read().chats[SLUG].high_water_mark == 1
    assert "Passed over" in caplog.text


def test_a_directory_in_its_place_is_set_aside(store: FileArchive, progress: Progress) -> None:
    path = Path(store.root.path) / "progress.json"
    (path / "within").mkdir(parents=True)
    assert progress.problem() == "it is a directory"
    progress.advance(SLUG, DAY, 1)
    assert content(store) == chat(None, days=0, d2025_03_14=1)
    assert (path.parent / "progress.json.corrupt-1" / "within").is_dir()


def test_a_file_that_cannot_be_read_is_a_sentence(store: FileArchive, progress: Progress) -> None:
    store.root.mkdir(parents=True)
    path = Path(store.root.path) / "progress.json"
    path.symlink_to(path)
    with pytest.raises(StorageError, match=r"progress\.json .*Too many levels"):
        progress.advance(SLUG, DAY, 1)


def test_a_lock_directory_that_is_none_is_named(store: FileArchive, tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(StorageError, match=r"locks .*File exists"):
        store.advance(SLUG, DAY, 1)


def test_lost_files_are_not_forgotten_by_the_next_commit(store: FileArchive, progress: Progress, scratch: Path) -> None:
    for n in range(4):
        day = DAY + timedelta(days=n)
        commit(store, scratch, [record(n + 1, day=day)] if n < 3 else [], day=day)
    for n in (0, 2, 3):
        store.path(SLUG, DAY + timedelta(days=n)).unlink()
    progress.commit(SLUG, DAY + timedelta(days=1), 2, sealed=True)
    assert content(store) == chat(3, days=4)


def test_a_file_of_an_older_version_learns_the_days(store: FileArchive, progress: Progress, scratch: Path) -> None:
    for n in range(4):
        commit(store, scratch, [], day=DAY + timedelta(days=n))
    (store.root / "progress.json").write_bytes(
        orjson.dumps(chat(9, days=0)).replace(b'"first_day":null,"last_day":null,', b"")
    )
    progress.commit(SLUG, DAY + timedelta(days=2), None, sealed=True)
    assert content(store) == chat(9, days=4)


def test_it_may_lie_behind_any_url(tmp_path: Path) -> None:
    root = UPath(f"memory://{uuid.uuid4().hex}/archive")
    progress = FileArchive(root, tmp_path).progress
    progress.commit(SLUG, DAY, 9, sealed=True)
    assert progress.problem() is None
    (root / "progress.json").write_bytes(b"{")
    assert progress.problem() is not None
    progress.commit(SLUG, DAY, 11, sealed=True)
    assert progress.read().chats[SLUG].high_water_mark == 11
    assert (root / "progress.json.corrupt-1").read_bytes() == b"{"
    root.fs.rm(root.path, recursive=True)


def test_what_a_killed_writer_left_is_swept(store: FileArchive, progress: Progress) -> None:
    store.root.mkdir(parents=True)
    leftover = Path(store.root.path) / ".progress.json.ab.tmp"
    leftover.touch()
    os.utime(leftover, (1, 1))
    progress.commit(SLUG, DAY, 9, sealed=True)
    assert not leftover.exists()


def test_it_knows_the_days_with_placeholders_of_older_files_too(
    store: FileArchive, progress: Progress, scratch: Path
) -> None:
    first, second, third = (DAY + timedelta(days=n) for n in range(3))
    for n, day in enumerate([first, second]):
        commit(store, scratch, [record(n + 1, "", day=day, type="unreadable")], day=day)
    assert progress.unreadable(SLUG) == [first, second]
    commit(store, scratch, [record(3, "", day=third, type="unreadable")], day=third)
    progress.note_unreadable(SLUG, [third, second])
    assert progress.unreadable(SLUG) == [second, third]
    (store.root / "progress.json").unlink()
    assert progress.unreadable(SLUG) == [first, second, third]
