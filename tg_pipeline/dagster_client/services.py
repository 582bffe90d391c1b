"""Dagster's services, as `tg-pipeline up` starts them: the code server, the webserver and the daemon."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tg_pipeline.dagster_client.workers import is_worker
from tg_pipeline.dagster_internals.code_server_client import DagsterGrpcClient, DagsterUserCodeUnreachableError
from tg_pipeline.machine.children import commands

RUN: Final = (sys.executable, "-m", "tg_pipeline.dagster_client.run_module")
MODULE: Final = "tg_pipeline.definitions"
LOCATION: Final = "tg_pipeline"
LOAD_SECONDS: Final = 300
"""Limit of loading the definitions: those of thousands of chats take longer than Dagster's default allows."""
ANSWER_SECONDS: Final = 5
_INNER: Final = b"\0api\0grpc\0"


@dataclass(frozen=True)
class CodeServer:
    """Serves the definitions to the webserver and the daemon, at a socket in `directory`.

    Dagster starts two processes: the outer one listens at the socket, the inner one has loaded the definitions and is
    replaced by a reload. Dagster does not start the inner one again when it is killed.
    """

    directory: Path
    """Short: the path of a socket has at most 107 bytes."""

    @property
    def socket(self) -> Path:
        """The address at which the outer process listens."""
        return self.directory / "code.sock"

    def command(self, log_level: str) -> list[str]:
        """The command that starts it; it listens once the definitions are loaded, or could not be."""
        target = ["--module-name", MODULE, "--location-name", LOCATION, "--socket", str(self.socket)]
        options = ["--inject-env-vars-from-instance", "--startup-timeout", str(LOAD_SECONDS), "--log-level", log_level]
        return [*RUN, "dagster", "code-server", "start", *target, *options]

    def is_listening(self) -> bool:
        """Whether the outer process has been started once, and is done with loading the definitions."""
        return self.socket.exists()

    def is_loading(self, outer: int) -> bool:
        """Whether the outer process, of that id, has an inner one, which may not answer yet."""
        return any(_INNER in command for command in commands(parent=outer).values())

    def end_inner(self, outer: int, *, idle: bool = False) -> None:
        """Kill what is left of the inner processes of an outer one that ended; where `idle`, only those without a run.

        An inner process ends by a thread that a locked database of Dagster's kills (1.13.27, `_cleanup_thread`): it
        would stay for ever. Runs go on without it.
        """
        for pid, command in commands(group=outer).items():
            if _INNER in command and not (idle and any(map(is_worker, commands(parent=pid).values()))):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def answers(self) -> bool:
        """Whether the inner process answers. False also while it is being started, or definitions cannot be loaded."""
        try:
            DagsterGrpcClient(socket=str(self.socket)).get_server_id(timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def workspace(self) -> list[str]:
        """The option that makes a webserver or a daemon use this code server. Writes the file that it names."""
        file = self.directory / "workspace.yaml"
        server = {"location_name": LOCATION, "socket": str(self.socket)}
        file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        return ["--workspace", str(file)]


def webserver_command(host: str, port: int, log_level: str, workspace: Sequence[str]) -> list[str]:
    """The command that starts Dagster's web UI."""
    address = ["--host", host, "--port", str(port)]
    return [*RUN, "dagster_webserver", *address, "--dagster-log-level", log_level, *workspace]


def daemon_command(log_level: str, workspace: Sequence[str]) -> list[str]:
    """The command that starts Dagster's daemon: sensors, schedules, the queue of runs, backfills."""
    return [sys.executable, "-m", "tg_pipeline.dagster_client.run_daemon", "run", "--log-level", log_level, *workspace]
