import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
from click import UsageError

from tg_pipeline.contracts.errors import DayFileError, InputError
from tg_pipeline.simulator import Simulator
from tg_pipeline.simulator.worlds.hidden import HiddenPast
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.cli.conftest import Terminal, said_by
from tg_pipeline_tests.telegram_account import first_days, world_of


@pytest.fixture
def archive(tg: Terminal) -> Terminal:
    """The first three days of `busy`, fetched."""
    tg.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")
    return tg


def test_a_whole_archive_exits_with_0(archive: Terminal) -> None:
    whole = "Whole: 3 day files of 1 chat. Checked: schema, hashes, order, uniqueness, counts, progress.\n"
    assert archive.ok("verify") == whole
    assert archive.ok("verify", "@busy") == whole


def test_days_that_the_account_cannot_see_fully_are_valid_but_not_whole(terminal: Terminal) -> None:
    chat = HiddenPast(synthetic_chat("busy", per_day=30, first_day=first_days(1).first), up_to=40)
    with Simulator(world_of(chat)) as simulator:
        terminal.log_in(simulator)
        terminal.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")
    *table, last = terminal.ok("verify").splitlines()
    assert last.startswith("Valid, but not whole: 2 days the account cannot see fully, in 3 day files of 1 chat. ")
    assert sum("not_visible (warning)" in line for line in table) == 2


def test_nothing_to_verify_is_refused(tg: Terminal) -> None:
    assert str(tg.data) in str(tg.fails(InputError, "verify"))
    assert " busy " in str(tg.fails(InputError, "verify", "busy"))


def test_a_registered_chat_without_files_is_never_called_whole(archive: Terminal, simulator: Simulator) -> None:
    archive.ok("chats", "add", "@busy")
    (archive.data / "busy").rename(archive.data / "kept")
    for path in (archive.data / "kept").rglob("*.json"):
        path.write_text(path.read_text().replace('"busy"', '"kept"'))
    (archive.data / "progress.json").unlink()
    table = archive.run("verify").out
    assert "not_fetched (warning)" in table
    assert "Whole" not in table


def test_days_before_the_first_file_are_not_whole(tg: Terminal) -> None:
    tg.ok("chats", "add", "@busy")
    tg.ok("fetch", "busy", "--from", "2024-01-02", "--to", "2024-01-03")
    said = tg.ok("verify", "busy")
    assert "not_fetched (warning)" in said
    assert ": 1 chat not fetched from the beginning, in 2 day files " in said.splitlines()[-1]
    tg.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-01")
    assert tg.ok("verify", "busy").startswith("Whole: ")
    (tg.data / "busy" / "2024" / "discussions_2024-01-01.json").unlink()
    assert tg.run("verify", "busy").code == 1


@pytest.mark.parametrize("chat", [(), ("busy",)])
def test_a_chat_whose_directory_is_gone_is_missed(archive: Terminal, chat: tuple[str, ...]) -> None:
    shutil.rmtree(archive.data / "busy")
    done = archive.run("verify", *chat)
    assert done.code == 1
    assert "progress" in done.out


def test_files_of_another_chat_than_the_registered_one_are_found(archive: Terminal) -> None:
    archive.ok("chats", "add", "@busy")
    assert archive.ok("verify").startswith("Whole: ")
    registry = archive.chats_file.read_text()
    archive.chats_file.write_text(re.sub(r"id: -\d+", "id: -1007", registry))
    done = archive.run("verify")
    assert done.code == 1
    assert re.search(r"│ registry +│.* -1007;", done.out)
    assert "1 thing wrong" in done.out


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "damaged"),
        (b'{"cut": ', "damaged"),
        (b"{}", "damaged"),
        (b"\xff\xfe\x00 binary", "damaged"),
    ],
)
def test_a_file_that_is_no_day_file_is_named(archive: Terminal, content: bytes, what: str) -> None:
    path = archive.data / "busy" / "2024" / "discussions_2024-01-02.json"
    path.write_bytes(content)
    done = archive.run("verify")
    assert done.code == 1
    assert done.out.splitlines()[-1].startswith("1 thing wrong in 3 day files ")
    (row,) = (line for line in done.out.splitlines() if "2024-01-02" in line)
    assert ["busy", "2024-01-02", what] == [cell.strip() for cell in row.strip("│").split("│")[:3]]


def test_a_truncated_file_is_found_and_a_fetch_refuses_to_write_over_it(archive: Terminal) -> None:
    path = archive.data / "busy" / "2024" / "discussions_2024-01-02.json"
    path.write_bytes(path.read_bytes()[:-100])
    assert archive.run("verify").code == 1
    before = path.read_bytes()
    assert str(path) in str(archive.fails(DayFileError, "fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03"))
    assert path.read_bytes() == before
    path.rename(path.with_suffix(".damaged"))
    path.with_suffix(".damaged").rename(archive.home / "damaged")
    archive.ok("fetch", "busy", "--from", "2024-01-02", "--to", "2024-01-02")
    assert "1 range with an interrupted fetch, in 3 day files of 1 chat" in archive.ok("verify").splitlines()[-1]
    archive.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")
    assert "Whole: 3 day files" in archive.ok("verify")


def test_days_that_must_be_there_are_missed(archive: Terminal) -> None:
    done = archive.run("verify", "--from", "2023-12-30", "--to", "2024-01-05")
    assert done.code == 1
    assert "2 things wrong in 3 day files " in done.out
    assert "up to 2023-12-31" in done.out
    assert "up to 2024-01-05" in done.out
    assert archive.ok("verify", "--from", "2024-01-02", "--to", "2024-01-03").startswith("Whole: 2 day files")


@pytest.mark.parametrize("limit", [("--from", "2024-02-01"), ("--to", "2023-02-01")])
def test_one_end_of_a_range_may_lie_beyond_the_files(archive: Terminal, limit: tuple[str, str]) -> None:
    done = archive.run("verify", *limit)
    assert done.code == 1
    assert "missing" in done.out


@pytest.mark.parametrize(
    ("days", "kind", "named"),
    [
        (("--from", "2024-01-03", "--to", "2024-01-01"), InputError, "from 2024-01-03 "),
        (("--to", "9999-01-01"), UsageError, "--to: 9999-01-01 "),
        (("--from", "2025-02-30"), UsageError, "--from: '2025-02-30' "),
    ],
)
def test_days_that_cannot_be_are_refused(
    archive: Terminal, days: tuple[str, ...], kind: type[Exception], named: str
) -> None:
    assert named in said_by(archive.fails(kind, "verify", *days))


def test_what_a_killed_run_left_is_a_warning(archive: Terminal) -> None:
    year = archive.data / "busy" / "2024"
    (year / ".discussions_2024-01-03.json.tmp").write_text("half")
    said = archive.ok("verify")
    assert "leftover (warning)" in said
    assert "Whole: 3 day files" in said


@pytest.fixture(scope="session")
def plain_rights() -> Sequence[str]:
    """What to begin a command with so that a directory's mode holds for it, though it be root's."""
    if os.geteuid():
        return ()
    without = ("setpriv", "--bounding-set", "-all,+chown")
    try:
        subprocess.run([*without, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root's rights cannot be laid down here")
    return without


@pytest.mark.parametrize("mode", [0o000, 0o444])
@pytest.mark.parametrize("place", ["instance", "instance/spool", "data", "data/busy"])
def test_a_place_that_may_not_be_read_is_a_sentence(
    archive: Terminal, plain_rights: Sequence[str], place: str, mode: int
) -> None:
    directory = archive.home / place
    directory.mkdir(exist_ok=True)
    command = [*plain_rights, sys.executable, "-m", "tg_pipeline.cli.main", "verify"]
    usual = directory.stat().st_mode
    directory.chmod(mode)
    try:
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    finally:
        directory.chmod(usual)
    assert "Traceback" not in done.stderr
    if done.returncode == 1:
        assert "damaged" in done.stdout
        assert "Permission denied" in done.stdout
    else:
        assert done.returncode == 2, done
        assert done.stderr.startswith(f"tg-pipeline: {directory}")
        assert done.stderr.endswith(": Permission denied.\n")
