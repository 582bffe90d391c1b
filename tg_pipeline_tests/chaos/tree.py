"""Dagster's whole tree, as `tg-pipeline up` starts it: webserver, daemon, code servers, and the runs' processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tg_pipeline.machine.tether import tethered
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline_tests.defs.servers import START_SECONDS, answers
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.processes import is_running, wait_until

Role = Literal["daemon", "webserver", "code server", "outer code server", "inner code server"]
OUTER, INNER = b"-m tg_pipeline.dagster_client.run_module dagster code-server start ", b"-m dagster api grpc "
PARTS: dict[Role, tuple[bytes, ...]] = {
    "daemon": (b"-m tg_pipeline.dagster_client.run_daemon run ",),
    "webserver": (b"-m tg_pipeline.dagster_client.run_module dagster_webserver ",),
    "code server": (OUTER, INNER),
    "outer code server": (OUTER,),
    "inner code server": (INNER,),
}
SERVICES: tuple[Role, ...] = ("inner code server", "outer code server", "daemon", "webserver")
END_SECONDS = 120.0


class Tree:
    """The tree of one instance home. It can be killed, in part or whole, and started again."""

    def __init__(self, home: Path, environment: Mapping[str, str], log: Path) -> None:
        self.home = home
        self._environment = {**environment, "DAGSTER_HOME": str(home)}
        self._log = log
        self._top: subprocess.Popen[bytes] | None = None
        self._port = port_of_ours()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Until the webserver answers; an AssertionError with the end of the log where it does not."""
        command = [sys.executable, "-m", "tg_pipeline.cli.main", "up", "--port", str(self._port), "--health-port", "0"]
        with self._log.open("ab") as output:
            top = self._top = subprocess.Popen(
                tethered(command),
                cwd=PROJECT_DIRECTORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(lambda: top.poll() is not None or answers(self.url), START_SECONDS)
        assert top.poll() is None, self.log()
        assert answers(self.url), self.log()

    def top(self) -> set[int]:
        """The one process that was started, which a person knows of."""
        return {self._top.pid} if self._top is not None else set()

    def is_up(self) -> bool:
        return self._top is not None and self._top.poll() is None

    def holder(self, run_id: str) -> int:
        """The process of a run that holds its lease."""
        return int(json.loads((self.home / "runs" / f"{run_id}.lock").read_text())["pid"])

    def pids(self, role: Role | None = None) -> set[int]:
        """The processes of a part of the tree, or of all of it: those that were started for this home."""
        return {pid for pid, command in self._processes() if role is None or command.startswith(PARTS[role])}

    def kill(self, pids: set[int]) -> None:
        """At once, without a chance to say so."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._top is not None and self._top.pid in pids:
            self._top.wait()
        assert wait_until(lambda: not any(map(is_running, pids)))

    def terminate(self, pids: set[int]) -> None:
        """Ask them to end; until the one has ended that was started."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        assert wait_until(lambda: not self.is_up(), END_SECONDS), "it ignores SIGTERM"

    def log(self) -> str:
        """The end of what it has logged."""
        return self._log.read_text()[-5_000:]

    def end(self) -> None:
        """Whatever is left of it."""
        while pids := self.pids():
            self.kill(pids)
        if self._top is not None:
            self._top.wait()

    def _processes(self) -> Iterator[tuple[int, bytes]]:
        """What runs with our home in its environment, and what follows the interpreter on its command line."""
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                _, _, command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").partition(b" ")
                environment = (directory / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"DAGSTER_HOME={self.home}".encode() in environment and is_running(int(directory.name)):
                yield int(directory.name), command
