"""One clock for all processes of a machine: POSIX seconds that nobody who sets the machine's clock can step."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import StorageError

LATEST = 2.0**33
"""POSIX seconds, in the year 2242."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def shared_time(directory: Path, clock: Clock) -> Callable[[], float]:
    """The clock of everybody who calls this with that directory, until the machine is started again.

    The first of them writes down how far POSIX time was ahead of the time since the machine was started; the others
    read it. A deadline that one process sets is so the same moment for all, whatever happens to the wall clock
    meanwhile. Raises StorageError where the directory cannot be written.
    """
    path = directory / f"time-{BOOT_ID.read_text().strip()}"
    try:
        offset = _read(path)
        if offset is None:
            _write(path, clock.now() - clock.steady())
            offset = _read(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    ahead = clock.now() - clock.steady() if offset is None else offset
    return lambda: ahead + clock.steady()


def _read(path: Path) -> float | None:
    """The offset written down; None where there is none, or none that can be one."""
    try:
        offset = float(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return offset if 0 < offset < LATEST else None


def _write(path: Path, offset: float) -> None:
    """Write the offset unless another process was first; a file that cannot be read is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".time-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(repr(offset))
        try:
            os.link(temporary, path)
        except FileExistsError:
            if _read(path) is None:
                Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    for old in path.parent.glob("time-*"):
        if old != path:
            old.unlink(missing_ok=True)
