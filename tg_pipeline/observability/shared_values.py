"""Values of metrics that outlive the process that counts them.

As in prometheus_client's multiprocess mode each process keeps its values in memory-mapped files of its own, which
survive SIGKILL; `sums` adds them up. Unlike there, a process's files lie in a directory that it holds a lock on as
long as it lives: so the sums know who is dead, whatever number the next process gets, and fold what the dead have
counted into one archive.
"""

import fcntl
import logging
import os
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

FILE_BYTES = 65_536
"""Of a new file: some 400 values. It doubles when it is full."""

LIVE = "live-"
"""Directories of the living, and of the dead that were not folded yet."""

log = logging.getLogger(__name__)


class SharedValue:
    """A number that a metric of this process holds, in memory and, from `keep_in` on, in a file.

    Made by prometheus_client for every metric without labels and for every set of labels.
    """

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Any,
        labelvalues: Any,
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> None:
        self.kind = f"gauge_{multiprocess_mode}" if typ == "gauge" else typ
        self.key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self.since_kept = 0.0
        """What was counted for the directory that is kept in now."""
        self.timestamp = 0.0
        self._value = 0.0
        with _keeper.lock:
            _keeper.add(self)

    def inc(self, amount: float) -> None:
        """Add to it."""
        with _keeper.lock:
            self._value += amount
            self.since_kept += amount
            _keeper.write(self)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace it."""
        with _keeper.lock:
            self._value = self.since_kept = value
            self.timestamp = timestamp or 0.0
            _keeper.write(self)

    def get(self) -> float:
        """What this process has counted."""
        return self._value

    def set_exemplar(self, exemplar: Any) -> None:
        """Exemplars are not kept."""

    def get_exemplar(self) -> None:
        """None are kept."""


class PreallocatedDict(MmapedDict):
    """Takes the disk's space before it writes: a mapped page that finds none kills its process (SIGBUS)."""

    def __init__(self, path: Path) -> None:
        # Renamed when it is whole, so that a reader never sees a file that is too short.
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, FILE_BYTES)
        finally:
            os.close(descriptor)
        new.rename(path)
        super().__init__(str(path))

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + 64 > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)


class _Keeper:
    """Where this process writes, if anywhere. Everything under `lock`."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.values: list[SharedValue] = []
        self._home: Path | None = None
        self._name = ""
        self._descriptor: int | None = None
        self._files: dict[str, PreallocatedDict] = {}

    def keep_in(self, home: Path) -> None:
        if home == self._home:
            return
        if self._home is not None:
            self.leave()
        self._home = home
        for value in self.values:
            if value.since_kept:
                self.write(value)

    def add(self, value: SharedValue) -> None:
        self.values.append(value)
        if value.kind in self._files:
            self.write(value)

    def write(self, value: SharedValue) -> None:
        if self._home is None:
            return
        try:
            if value.kind not in self._files:
                self._open(self._home, value.kind)
            self._files[value.kind].write_value(value.key, value.since_kept, value.timestamp)
        except OSError as error:
            self.leave()
            log.warning(
                "Metrics of this process will be missing: %s cannot be written (%s).",
                error.filename or "their file",
                error.strerror,
            )

    def leave(self) -> None:
        """Let go of the files; what is counted from now on belongs elsewhere."""
        for file in self._files.values():
            file.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._files, self._descriptor, self._home = {}, None, None
        for value in self.values:
            value.since_kept = 0.0

    def begin_anew(self) -> None:
        """In a forked child: what was counted is the parent's."""
        self.lock = Lock()
        home = self._home
        self.leave()
        self._home = home

    def _open(self, home: Path, kind: str) -> None:
        """Begin a file, zeros included: a histogram without its empty buckets would be another one."""
        if self._descriptor is None:
            self._name, self._descriptor = _own_directory(home)
        self._files[kind] = file = PreallocatedDict(home / f"{LIVE}{self._name}" / f"{kind}_{self._name}.db")
        for value in self.values:
            if value.kind == kind:
                file.write_value(value.key, value.since_kept, value.timestamp)


def _own_directory(home: Path) -> tuple[str, int]:
    """A new directory, locked until the descriptor is closed."""
    home.mkdir(parents=True, exist_ok=True)
    while True:
        name = uuid4().hex[:16]
        directory = home / f"{LIVE}{name}"
        directory.mkdir()
        descriptor = lock_directory(directory)
        if descriptor is not None:
            return name, descriptor


def lock_directory(directory: Path) -> int | None:
    """Lock it at once or not at all: a descriptor that holds the lock until closed. None also where it was moved."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == directory.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


_keeper = _Keeper()
values.ValueClass = SharedValue
os.register_at_fork(after_in_child=_keeper.begin_anew)


def keep_in(home: Path) -> None:
    """Keep this process's values in the directory `home` from now on, those counted before included.

    Where that cannot be written a warning says so, and the values stay in memory: metrics never fail anything.
    """
    with _keeper.lock:
        _keeper.keep_in(home)
