"""Exclusive locks that the operating system frees when their owner dies."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_DIRECTORY_LOCKS = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP}
"""What a file system answers that cannot lock a directory, as NFS cannot."""


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Wait for, and hold, the lock that the file at `path` stands for; the file is created and stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
