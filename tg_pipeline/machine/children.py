"""Processes that a verb starts, and what they leave behind."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 5.0


def group_exists(leader: "subprocess.Popen[bytes]") -> bool:
    """Whether the process, which leads a process group, or another of its group still exists."""
    leader.poll()
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    return True


def commands(*, parent: int | None = None, group: int | None = None) -> dict[int, bytes]:
    """The command lines, arguments parted by NUL, of what runs as a child of `parent` or in that process group."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; behind it stand the state, the parent and the group.
            state, of_parent, of_group = (directory / "stat").read_text().rpartition(")")[2].split()[:3]
            if state not in {"Z", "X"} and (int(of_parent) == parent or int(of_group) == group):
                found[int(directory.name)] = (directory / "cmdline").read_bytes()
    return found


def end_group(leader: "subprocess.Popen[bytes]") -> None:
    """End what a process leaves behind: Dagster's code servers would notice by themselves after 45 s."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while group_exists(leader) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
