"""Logins on this machine: who may read them, which are taken, and what is said of a bad one."""

import json
import stat
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import InputError, SessionMissing, StorageError
from tg_pipeline.simulator import Simulator
from tg_pipeline.telegram.sessions import load_sessions, save_session


@pytest.fixture
def secrets(sim: Simulator) -> list[str]:
    return [sim.new_session() for _ in range(3)]


def test_a_saved_session_is_its_owners_alone_and_comes_back(tmp_path: Path, secrets: list[str]) -> None:
    directory = tmp_path / "home" / "sessions"
    path = save_session(directory, "main", secrets[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [p.name for p in directory.iterdir()] == ["main.session.json"]
    assert [s.secret for s in load_sessions(directory, [])] == [secrets[0]]


def test_saving_again_replaces(tmp_path: Path, secrets: list[str]) -> None:
    save_session(tmp_path, "main", secrets[0])
    path = save_session(tmp_path, "main", secrets[1])
    assert json.loads(path.read_text()) == {"session": secrets[1]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 33, "a b"])
def test_a_name_that_could_leave_the_directory_is_refused(tmp_path: Path, secrets: list[str], name: str) -> None:
    with pytest.raises(InputError, match="session name"):
        save_session(tmp_path, name, secrets[0])


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path, secrets: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        save_session(tmp_path / "file" / "sessions", "main", secrets[0])


def test_settings_come_before_files_and_files_in_the_order_of_their_names(tmp_path: Path, secrets: list[str]) -> None:
    save_session(tmp_path, "b", secrets[1])
    save_session(tmp_path, "a", secrets[0])
    assert [s.secret for s in load_sessions(tmp_path, [])] == secrets[:2]
    assert [s.secret for s in load_sessions(tmp_path, [secrets[2]])] == [secrets[2]]


def test_a_login_given_twice_is_one(secrets: list[str], tmp_path: Path) -> None:
    assert len(load_sessions(tmp_path, [secrets[0], secrets[1], secrets[0]])) == 2
    assert len({s.fingerprint for s in load_sessions(tmp_path, secrets)}) == 3


def test_no_login_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SessionMissing, match="Run `tg-pipeline login`, or set TELEGRAM_SESSION"):
        load_sessions(tmp_path / "nowhere", [])


@pytest.mark.parametrize(
    "text",
    ["", "hunter2", "[]", "{}", '{"session": 5}', '{"session": "hunter2"}', '{"session": ""}', "\udcff", 100_000 * "["],
)
def test_a_damaged_session_file_is_named_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "main.session.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SessionMissing, match=r"main\.session\.json.*tg-pipeline login") as refused:
        load_sessions(tmp_path, [])
    assert "hunter2" not in str(refused.value)


def test_a_malformed_session_string_is_told_by_its_place(tmp_path: Path, secrets: list[str]) -> None:
    with pytest.raises(SessionMissing, match=r"Session 2 of the settings: .*malformed") as refused:
        load_sessions(tmp_path, [secrets[0], "1hunter2"])
    assert "hunter2" not in str(refused.value)


def test_the_secret_is_not_in_the_repr_nor_in_the_fingerprint(tmp_path: Path, secrets: list[str]) -> None:
    (session,) = load_sessions(tmp_path, secrets[:1])
    assert secrets[0] not in repr(session)
    assert session.fingerprint not in secrets[0]
