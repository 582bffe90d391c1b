"""An exclusive lease that the operating system frees when its holder dies, however it dies.

The lease is an advisory lock (flock) on a file; the file's text names the holder for people. It holds between the
processes of one machine.
"""

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import LeaseUnavailable, StorageError
from tg_pipeline.machine.clock import SystemClock

POLL_SECONDS = 0.2

_LOOKING_SECONDS = 0.01

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
        opened = {name: files.enter_context(_LeaseFile(directory, name)) for name in dict.fromkeys(names)}
        while (held := next((name for name, file in opened.items() if file.try_lock()), None)) is None:
            holders = " and ".join(sorted({file.holder() for file in opened.values()}))
            if clock.now() >= give_up:
                raise LeaseUnavailable(
                    f"{what} is in use by {holders}; waited {wait_seconds:g} s for it.", holder=holders
                )
            if not waiting:
                log.warning("%s is in use by %s; waiting up to %g s.", what, holders, wait_seconds)
                waiting = True
            await clock.sleep(POLL_SECONDS)
        opened[held].sign()
        yield held


def hold_until_exit(directory: Path, name: str, *, what: str, wait_seconds: float = 5.0) -> None:
    """Hold a lease until this process is no more; a second call does nothing.

    Raises LeaseUnavailable where another process holds it for longer than `wait_seconds`, StorageError where the
    directory cannot be written.
    """
    if (directory, name) in _held_until_exit:
        return
    file = _LeaseFile(directory, name)
    give_up = time.monotonic() + wait_seconds
    while not file.try_lock():  # somebody may just be looking at it
        if time.monotonic() >= give_up:
            with file:
                holder = file.holder()
                raise LeaseUnavailable(f"{what} is in use by {holder}.", holder=holder)
        time.sleep(_LOOKING_SECONDS)
    file.sign()
    _held_until_exit[directory, name] = file


def look(directory: Path, name: str) -> Literal["held", "left", "never held"]:
    """How the lease stands: "left" is signed by a holder that let it go or died. "never held" may be about to be."""
    if not (directory / f"{name}.lock").exists():
        return "never held"
    with _LeaseFile(directory, name) as file:
        if not file.try_lock():
            return "held"
        return "left" if file.is_signed() else "never held"


def signer(directory: Path, name: str) -> int | None:
    """The process that signed the lease last, as far as is known. Whether it still holds it, `look` says."""
    try:
        return int(json.loads((directory / f"{name}.lock").read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def discard(directory: Path, name: str) -> bool:
    """Remove the file of a lease unless somebody holds it; whether that was done."""
    with _LeaseFile(directory, name) as file:
        return file.try_lock() and file.remove()


def lease_name(*parts: str) -> str:
    """A file name for a lease on something secret or of any spelling: the first 24 hex digits of its SHA-256."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class _LeaseFile:
    """The file that stands for a lease, open. Somebody may remove it meanwhile: what counts is the one at the path."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{name}.lock"
        self._descriptor = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def try_lock(self) -> bool:
        """Take the lease at once or not at all."""
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._is_in_place():
                return True
            os.close(self._descriptor)
            self._descriptor = self._open()

    def sign(self) -> None:
        """Write down who holds it. That is for people: a full disk does not keep anybody from holding it."""
        text = json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")})
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)
        except OSError as error:
            log.warning("The lease file %s could not be signed: %s.", self._path, error.strerror)

    def is_signed(self) -> bool:
        """Whether anybody ever held it, as far as is known."""
        return os.fstat(self._descriptor).st_size > 0

    def remove(self) -> bool:
        """Remove the file, which must be locked; whether that could be done."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("The lease file %s could not be removed: %s.", self._path, error.strerror)
            return False
        return True

    def holder(self) -> str:
        """Who holds it, as far as is known."""
        try:
            holder = json.loads(os.pread(self._descriptor, 4096, 0))
            return f"process {holder['pid']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return "another process"

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"The lease file {self._path} cannot be opened: {error.strerror}.") from error

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False


_held_until_exit: dict[tuple[Path, str], _LeaseFile] = {}
"""Never closed: the kernel does that."""
