"""What tests of process life and death share."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie (nobody may be there to reap an orphan)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def open_files() -> set[Path]:
    """What this process has open at the moment, by name."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(link.readlink())
    return found


BUSY = 5
"""How many times longer than on an idle machine anything may take."""


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for other processes to bring `condition` about; False if they did not in time.

    `seconds` is ample time on an idle machine; a busy one is given `BUSY` times as much.
    """
    deadline = time.monotonic() + seconds * BUSY
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
