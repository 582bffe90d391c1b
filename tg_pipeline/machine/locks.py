"""Exclusive locks that the operating system frees when their owner dies."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.05
_NO_DIRECTORY_LOCKS = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP}
"""What a file system answers that cannot lock a directory, as NFS cannot."""


@contextmanager
def locked_file(path: Path, *, wait_seconds: float | None = None, mode: int = 0o666) -> Iterator[None]:
    """Hold the lock that the file at `path` stands for; the file is created with `mode`, and stays.

    Raises TimeoutError where another process holds it for longer than `wait_seconds`; None waits for ever.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        if wait_seconds is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _lock_within(wait_seconds, descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock_within(seconds: float, descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise TimeoutError(f"{path} is locked by another process.") from None
            time.sleep(POLL_SECONDS)
        else:
            return


@contextmanager
def locked_directory(path: str | Path) -> Iterator[bool]:
    """Wait for, and hold, the lock of an existing directory: no lock file is left in it. Gives whether it is held.

    Where the file system has no such locks the block runs without one: a single writer is safe all the same.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_LOCKS:
                raise
            held = False
        yield held
    finally:
        os.close(descriptor)


def try_lock_directory(path: Path) -> int | None:
    """Lock the directory at once or not at all: an open descriptor, which holds the lock until closed, or None.

    None also where somebody removed or replaced the directory meanwhile.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
