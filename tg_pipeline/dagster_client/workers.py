"""The processes that carry out runs, as the kernel lists them: a run that is only starting holds no lease yet.

Dagster's code server starts a process for each run and forgets it where it dies itself; the process goes on.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import dagster as dg

PROC: Final = Path("/proc")
_MARKS: Final = (b"multiprocessing.spawn", b"--multiprocessing-fork")
"""On the command line of what Python's multiprocessing starts, as Dagster does for each run (_grpc/server.py)."""


def workers(home: str) -> set[int]:
    """Processes of this machine that may carry out a run of the instance in `home`; also some that do something else.

    One whose environment cannot be read counts.
    """
    found = set()
    for directory in PROC.glob("[0-9]*"):
        with suppress(OSError):
            command = (directory / "cmdline").read_bytes()
            if is_worker(command) and _is_of(directory, home):
                found.add(int(directory.name))
    return found


def is_worker(command: bytes) -> bool:
    """Whether that is the command line of a process that carries out a run, or of something like it."""
    return all(mark in command for mark in _MARKS)


def worker_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that a run said it has; None where it did not come to say so."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = entry.dagster_event.engine_event_data.metadata.get("pid") if entry.dagster_event else None
        if pid is not None and str(pid.value).isdigit():
            return int(str(pid.value))
    return None


def _is_of(directory: Path, home: str) -> bool:
    try:
        environment = (directory / "environ").read_bytes().split(b"\0")
    except PermissionError:
        return True
    given = [value for value in environment if value.startswith(b"DAGSTER_HOME=")]
    return not given or Path(given[0].partition(b"=")[2].decode(errors="replace")).resolve() == Path(home).resolve()
