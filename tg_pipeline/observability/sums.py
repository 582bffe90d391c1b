"""The sums of what all processes have counted, the dead ones included.

    <home>/live-<id>/     files of a process, locked by it
    <home>/archive-<n>/   the sums of the dead
    <home>/folding-<n>/   directories of the dead that archive-<n> will hold, or holds

A process that sums is the only one that does (`lock`). It may be killed at any point: what it was folding is either in
the new archive, or is put back.
"""

import fcntl
import json
import logging
import os
import shutil
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from tg_pipeline.observability.shared_values import LIVE, PreallocatedDict, lock_directory

ADDED = ("counter", "histogram")
"""Kinds whose values add up over all processes."""
LATEST = ("gauge_mostrecent",)
"""Kinds of which the value that was set last is kept. Other gauges end with their process."""

log = logging.getLogger(__name__)


def sums(home: Path) -> list[Metric]:
    """Every metric that any process counted in `home`. OSError where that cannot be read."""
    if not home.is_dir():
        return []
    with _alone(home):
        _recover(home)
        try:
            _fold(home, _dead(home))
        except OSError as error:
            log.warning("Metrics of processes that ended stay in their files: %s.", error)
            _recover(home)
        files = [*home.glob(f"{LIVE}*/*.db"), *home.glob("archive-*/*.db")]
        return list(MultiProcessCollector.merge([str(file) for file in files if _is_sound(file)]))


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _dead(home: Path) -> list[Path]:
    """Directories whose process is no more."""
    found = []
    for directory in home.glob(f"{LIVE}*"):
        descriptor = lock_directory(directory)
        if descriptor is not None:
            os.close(descriptor)
            found.append(directory)
    return found


def _fold(home: Path, dead: Iterable[Path]) -> None:
    """Put what the dead have counted into a new archive, which takes the old one's place by a single rename."""
    number = _newest_archive(home)
    folding, archive = home / f"folding-{number + 1}", home / f"archive-{number + 1}"
    for directory in dead:
        if any(directory.glob("*.db")):
            folding.mkdir(exist_ok=True)
            directory.rename(folding / directory.name)
        else:
            shutil.rmtree(directory)
    if not folding.exists():
        return
    new = home / f"archive-{number + 1}.new"
    new.mkdir()
    for kind in (*ADDED, *LATEST):
        kept: defaultdict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        for file in (*folding.glob(f"{LIVE}*/{kind}_*.db"), home / f"archive-{number}" / f"{kind}_archive.db"):
            for key, value, timestamp in _read(file):
                if kind in ADDED:
                    kept[key] = (kept[key][0] + value, 0.0)
                elif timestamp > kept[key][1]:
                    kept[key] = (value, timestamp)
        _write(new / f"{kind}_archive.db", kept)
    new.rename(archive)
    _recover(home)


def _write(path: Path, kept: dict[str, tuple[float, float]]) -> None:
    """Write each key's value and timestamp."""
    archive = PreallocatedDict(path)
    for key, (value, timestamp) in kept.items():
        archive.write_value(key, value, timestamp)
    archive.close()


def _read(file: Path) -> list[tuple[str, float, float]]:
    """Return each key with its value and timestamp."""
    if not file.exists() or not _is_sound(file):
        return []
    return [(key, value, timestamp) for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(file))]


def _is_sound(file: Path) -> bool:
    """Whether it can be read; set aside if not."""
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(str(file)):
            _metric, _name, _labels, _help = json.loads(key)
    except (RuntimeError, ValueError, TypeError, struct.error):
        log.warning("%s holds no metrics that can be read. It is set aside.", file)
        file.rename(file.with_suffix(".unreadable"))
        return False
    return True


def _newest_archive(home: Path) -> int:
    return max((int(path.name.removeprefix("archive-")) for path in home.glob("archive-*[0-9]")), default=0)


def _recover(home: Path) -> None:
    """Finish what a process began that was killed while it folded, or undo it."""
    newest = _newest_archive(home)
    for unfinished in home.glob("archive-*.new"):
        shutil.rmtree(unfinished)
    for folding in home.glob("folding-*"):
        if int(folding.name.removeprefix("folding-")) > newest:
            for directory in folding.iterdir():
                directory.rename(home / directory.name)
        shutil.rmtree(folding)
    for archive in home.glob("archive-*"):
        if archive.name != f"archive-{newest}":
            shutil.rmtree(archive)
