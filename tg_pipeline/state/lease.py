"""An exclusive lease that the operating system frees when its holder dies, however it dies.

The lease is an advisory lock (flock) on a file; the file's text names the holder for people. It holds between the
processes of one machine.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tg_pipeline.contracts.clock import Clock, SystemClock
from tg_pipeline.contracts.errors import LeaseUnavailable, StorageError

POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


@asynccontextmanager
async def lease(
    directory: Path, names: Sequence[str], *, what: str, wait_seconds: float, clock: Clock | None = None
) -> AsyncIterator[str]:
    """Hold one of the leases `names`, the first that is free, while the block runs; gives the name held.

    `what` is how messages call the thing leased. While all are held by others, waits up to `wait_seconds`, then raises
    LeaseUnavailable naming the holder; says once that it is waiting. Raises StorageError where the lease directory
    cannot be written.
    """
    clock = clock or SystemClock()
    give_up = clock.now() + wait_seconds
    waiting = False
    with ExitStack() as files:
        descriptors = {name: files.enter_context(_opened(directory, name)) for name in dict.fromkeys(names)}
        while (held := next((name for name, file in descriptors.items() if _try_lock(file)), None)) is None:
            holders = " and ".join(sorted({_holder(file) for file in descriptors.values()}))
            if clock.now() >= give_up:
                raise LeaseUnavailable(f"{what} is in use by {holders}; waited {wait_seconds:g} s for it.")
            if not waiting:
                log.warning("%s is in use by %s; waiting up to %g s.", what, holders, wait_seconds)
                waiting = True
            await clock.sleep(POLL_SECONDS)
        _sign(descriptors[held])
        yield held


def lease_name(*parts: str) -> str:
    """A file name for a lease on something secret or of any spelling: the first 24 hex digits of its SHA-256."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@contextmanager
def _opened(directory: Path, name: str) -> Iterator[int]:
    path = directory / f"{name}.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"The lease file {path} cannot be opened: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    text = json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
