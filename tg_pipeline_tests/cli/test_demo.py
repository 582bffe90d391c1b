"""The demo from outside: what it shows, and that nothing of it is left, however it ends."""

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tg_pipeline_tests.live_simulator import PROGRAM
from tg_pipeline_tests.processes import is_running, wait_until

pytestmark = pytest.mark.xdist_group("trees")

START_SECONDS = 120
BACKFILL_SECONDS = 400
END_SECONDS = 120
LISTENING = "0A"
"""State of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True)
class Traces:
    """What a demo takes of the machine while it runs: processes, and ports that they listen on."""

    pids: list[int]
    ports: set[int]


class Demo:
    """A running `tg-pipeline demo` and all that it starts, told by a mark in the environment that children inherit."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._mark = f"TG_TEST_MARK={uuid.uuid4()}"
        self._log = log
        name, _, value = self._mark.partition("=")
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [PROGRAM, "demo", *arguments],
                env=os.environ | {name: value, "COLUMNS": "200", "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, words: str, seconds: float) -> str:
        """What stands after these words in the first line that has them."""
        shown = wait_until(lambda: words in self.said or self.process.poll() is not None, seconds)
        assert shown, self.said
        assert words in self.said, self.said
        return self.said.partition(words)[2].partition("\n")[0].strip()

    def ended(self, seconds: float) -> int:
        """Its exit code; where it does not end, an AssertionError that says what it was doing."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(self.said) from None

    def pids(self) -> list[int]:
        """The demo, every process that was started by it, or by one that was; Redis, while the demo lives.

        Redis writes its title over its environment, so that it is told by its parent.
        """
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return [pid for pid in pids if self._is_marked(pid) or _parent(pid) == self.process.pid]

    def ports(self) -> set[int]:
        """What these processes listen on."""
        inodes = {socket for pid in self.pids() for socket in _sockets(pid)}
        return {int(row[1].partition(":")[2], 16) for row in _listening() if row[9] in inodes}

    def traces(self) -> "Traces":
        """What must be gone afterwards."""
        return Traces(self.pids(), self.ports())

    def _is_marked(self, pid: int) -> bool:
        try:
            marked = self._mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return marked and is_running(pid)


def _listening() -> list[list[str]]:
    """The columns of /proc/net/tcp: local address and port in hexadecimal in 1, state in 3, inode in 9."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row for row in rows if row[3] == LISTENING]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _sockets(pid: int) -> Iterator[str]:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if (found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))) is not None:
                yield found[1]
    except OSError:
        return


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start a demo with these arguments; killed at the end with all it started, if the test did not end it."""
    demos: list[Demo] = []

    def start(*arguments: str) -> Demo:
        demos.append(Demo(tmp_path / f"demo-{len(demos)}.log", *arguments))
        return demos[-1]

    yield start
    for demo in demos:
        for pid in demo.pids():
            os.kill(pid, signal.SIGKILL)
        demo.process.wait()


def assert_nothing_left(demo: Demo, traces: Traces) -> None:
    pids = [*traces.pids, *demo.pids()]
    assert wait_until(lambda: not any(map(is_running, pids)), END_SECONDS), [
        Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in pids if is_running(pid)
    ]
    assert demo.pids() == []
    assert not traces.ports & {int(row[1].partition(":")[2], 16) for row in _listening()}


@pytest.mark.slow
def test_once_compares_every_file_and_leaves_nothing_behind(start: Any) -> None:
    demo = start("--once")
    demo.wait_for("Backfill launched: ", START_SECONDS)
    traces = demo.traces()
    assert len(traces.ports) == 5, "the simulator's data centres and control, Redis, Dagster"
    children = [pid for pid in demo.pids() if _parent(pid) == demo.process.pid]
    (redis,) = [pid for pid in children if b"-server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(redis, signal.SIGKILL)
    assert demo.ended(BACKFILL_SECONDS) == 0, demo.said
    assert demo.said.endswith("Every file was compared with what the simulator holds: all equal.\n")
    assert_nothing_left(demo, traces)


@pytest.mark.nightly
def test_two_at_once_do_not_meet_and_end_in_order(start: Any) -> None:
    one, other = start(), start()
    urls = {demo.wait_for("Dagster: ", START_SECONDS) for demo in (one, other)}
    homes = {demo.wait_for(" chats in ", 1) for demo in (one, other)}
    traces = [one.traces(), other.traces()]
    assert len(urls) == len(homes) == 2
    assert not traces[0].ports & traces[1].ports
    os.killpg(one.process.pid, signal.SIGINT)
    other.process.terminate()
    assert one.ended(END_SECONDS) == 130, one.said
    assert other.ended(END_SECONDS) == 143, other.said
    assert_nothing_left(one, traces[0])
    assert_nothing_left(other, traces[1])


@pytest.mark.nightly
def test_killed_outright_while_it_fetches_it_leaves_nothing_behind(start: Any) -> None:
    demo = start()
    demo.wait_for("Backfill launched: ", START_SECONDS)
    traces = demo.traces()
    time.sleep(5)
    demo.process.kill()
    demo.process.wait()
    assert_nothing_left(demo, traces)


@pytest.mark.nightly
def test_exports_are_shown_and_the_commands_it_offers_work(start: Any, tmp_path: Path) -> None:
    for name, bare_id in (("first_chat", 11), ("second_chat", 12)):
        messages = [exported(number) for number in range(1, 31)]
        folder = tmp_path / "exports" / name
        folder.mkdir(parents=True)
        chat = {"name": name, "type": "public_channel", "id": bare_id, "messages": messages}
        (folder / "result.json").write_text(json.dumps(chat))
    demo = start("--exports", str(tmp_path / "exports"))
    data = Path(demo.wait_for("Day files  ", START_SECONDS + BACKFILL_SECONDS))
    found = sorted(str(path.relative_to(data)) for path in data.rglob("discussions_*.json"))
    assert found == [
        f"{name}/2024/discussions_2024-05-0{day}.json" for name in ("first_chat", "second_chat") for day in (1, 2, 3)
    ]
    offered = demo.said[demo.said.index("set -a;") : demo.said.index("Ctrl-C stops")]
    done = subprocess.run(["bash", "-ec", offered], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Whole: " in done.stdout
    traces = demo.traces()
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.ended(END_SECONDS) == 130, demo.said
    assert_nothing_left(demo, traces)


def exported(number: int) -> dict[str, Any]:
    """A message of an export, ten a day from 2024-05-01 on."""
    moment = datetime(2024, 5, 1 + (number - 1) // 10, 12, number, tzinfo=UTC)
    return {
        "id": number,
        "type": "message",
        "date": moment.strftime("%Y-%m-%dT%H:%M:%S"),
        "date_unixtime": str(int(moment.timestamp())),
        "from": "Ana",
        "from_id": "user42",
        "text": f"message {number}",
    }
