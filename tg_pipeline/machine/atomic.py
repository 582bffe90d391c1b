"""Files that are replaced whole or not at all."""

import errno
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from upath import UPath

from tg_pipeline.contracts.errors import DiskFull, StorageError

_BUFFER = 1 << 18
_PROBE_BYTES = 4_096
"""Enough to be refused where the disk is full."""
STALE_SECONDS = 3_600
"""A temporary file older than this belongs to a run that was killed."""
_OF_SYSTEMS = frozenset(
    {
        # Synology and QNAP
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharesnap", "@syno", "@synoresource", "@database"),
        *("#recycle", "#snapshot", "~snapshot", "@__thumb", "@sharebin", "@download"),
        # Windows
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "autorun.inf"),
        *("$recycle.bin", "recycler", "recycled", "system volume information"),
        # Linux
        *("lost+found", "aquota.user", "aquota.group", "quota.user", "quota.group"),
        # macOS
        *("icon\r", "__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),
    }
)
"""Letters are compared without their case, which some file systems change."""

log = logging.getLogger(__name__)


def is_local(path: UPath) -> bool:
    """Whether the path lies in a file system of this machine, where rename and fsync mean what POSIX says."""
    return path.protocol in {"", "file", "local"}


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one of ours on its way to its place."""
    return name.startswith(".") and name.endswith(".tmp")


def is_of_a_system(name: str) -> bool:
    """Whether a name is hidden, or is one that a NAS, a file system or a desktop puts into every directory."""
    return name.startswith((".", "~$")) or name.casefold() in _OF_SYSTEMS


@contextmanager
def replace(path: UPath, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file at `path` when the block ends, and never if it raises.

    Missing folders are made. On a local file system the bytes, the name and new folders are on disk (fsync) when the
    block has ended, unless `durable` is False: for what a power cut may undo, which spares milliseconds. Elsewhere a
    temporary object is moved into place. An OSError becomes a StorageError.
    """
    with writing(path), timed("%s is written.", path), _replacing(path, durable=durable) as stream:
        yield stream


def check_writable(directory: UPath) -> None:
    """Raise a StorageError where no file can be put there: one is, as day files are, and removed again."""
    probe = directory / f".probe-{secrets.token_hex(4)}.tmp"
    with writing(directory):
        with _replacing(probe, durable=False) as stream:
            stream.write(bytes(_PROBE_BYTES))
        probe.unlink()


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Turn an OSError of the block into the sentence that a person gets."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageError
        raise kind(f"{path} cannot be written: {_reason(error)}. What was there before is untouched.") from error


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Turn an OSError of the block into the sentence that a person gets."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def timed(sentence: str, path: object) -> Iterator[None]:
    """Log at DEBUG what the block did to the file at `path`, and how long that took, unless it raises."""
    began = time.perf_counter()
    yield
    log.debug(sentence, path, extra={"duration_ms": round((time.perf_counter() - began) * 1_000)})


def is_directory(path: Path | UPath) -> bool:
    """Whether a directory is there. A StorageError where that may not be known."""
    with reading(path):
        return path.is_dir()


def unreadable(path: object, error: OSError) -> StorageError:
    """The sentence for a file that is there and cannot be read."""
    return StorageError(f"{path} cannot be read: {_reason(error)}.")


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


@contextmanager
def _replacing(path: UPath, *, durable: bool) -> Iterator[BinaryIO]:
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    if is_local(path):
        with _replace_local(Path(path.path), Path(temporary.path), durable=durable) as stream:
            yield stream
    else:
        with _replace_remote(path, temporary) as stream:
            yield stream


@contextmanager
def _replace_local(path: Path, temporary: Path, *, durable: bool) -> Iterator[BinaryIO]:
    make_directory(path.parent)
    try:
        with temporary.open("xb", buffering=_BUFFER) as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


@contextmanager
def _replace_remote(path: UPath, temporary: UPath) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as stream:
            yield stream
        path.fs.mv(temporary.path, path.path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def make_directory(path: Path) -> None:
    """Make the directory and its parents, each durably."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the names in the directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(directory: UPath, *, alone: bool = False) -> None:
    """Remove what killed runs left in the directory. Never raises an OSError.

    At once where the caller is `alone`, the only one that may write there; else once it is STALE_SECONDS old.
    """
    with suppress(OSError):
        for path in directory.iterdir():
            if is_temporary(path.name):
                with suppress(OSError):
                    if alone or time.time() - path.stat().st_mtime > STALE_SECONDS:
                        path.unlink()
