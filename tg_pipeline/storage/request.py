"""A request for a range of days, as far as it has come: what an interrupted run leaves to the next."""

import logging
import os
import secrets
import shutil
from datetime import date
from pathlib import Path
from typing import Self

from tg_pipeline.contracts.chat import SLUG_RULE, is_slug
from tg_pipeline.contracts.days import DayRange, day_of
from tg_pipeline.contracts.errors import InputError, LeaseUnavailable
from tg_pipeline.storage.atomic import make_directory, sync_directory, writing
from tg_pipeline.storage.locks import try_lock_directory
from tg_pipeline.storage.parts import DayParts
from tg_pipeline.storage.spool import DaySpool

logger = logging.getLogger(__name__)

RESUME_TTL = 24 * 3600
"""Seconds after its last sign of life during which an interrupted request may be gone on with."""

_JOURNAL = "journal"
_SPOOL = ".messages"
_FINISHED = ".finished."


class PendingRequest:
    """`<spool_root>/<slug>/<first>_<last>/`: the spools of days being read and a journal of those committed.

    Held by one process at a time. Use as a context manager: leaving the block lets go of the request and keeps what it
    has come to; `finish` removes it.
    """

    def __init__(self, directory: Path, lock: int, now: int) -> None:
        self._directory = directory
        self._lock: int | None = lock
        trace = _Trace(directory)
        self.resumed = trace.started_at is not None
        self.started_at = now if trace.started_at is None else trace.started_at
        self.committed = trace.committed
        """Days of this request whose day files are in place."""
        self.covered = trace.covered
        """Intervals (POSIX s, end excluded) that were read to their end though their day is not committed yet."""
        self.committing = trace.committing
        """Days whose day files this request has written, or was about to write when it was interrupted."""
        self.spooled_at: dict[date, float] = {}
        """Per day that an interrupted process left in work, when it last wrote to its spools (POSIX s)."""
        self._spools: dict[tuple[date, int], DaySpool] = {}
        trace.cut_torn_end()

    @classmethod
    def open(cls, spool_root: Path, slug: str, days: DayRange, *, chat_id: int, now: int) -> Self:
        """Go on with the request if it was interrupted less than RESUME_TTL before `now` (POSIX s), else begin afresh.

        What was read for another chat than `chat_id`, under the same slug, is not gone on with.
        Raises LeaseUnavailable where another process is at it, and StorageError where the spool cannot be written.
        """
        if not is_slug(slug):
            raise InputError(f"{slug!r} cannot name a chat's directory: allowed are {SLUG_RULE}.")
        directory = spool_root / slug / f"{days.first}_{days.last}"
        with writing(directory):
            _remove_abandoned(directory.parent, now)
            make_directory(directory)
            lock = try_lock_directory(directory)
            if lock is None:
                raise LeaseUnavailable(f"Another process is fetching {slug} {days}; try again when it has ended.")
            try:
                if _Trace(directory).chat_id != chat_id:
                    _empty(directory)
                request = cls(directory, lock, now)
            except BaseException:
                os.close(lock)
                raise
            try:
                request._take_up(chat_id, now)
            except BaseException:
                request.close()
                raise
            return request

    def _take_up(self, chat_id: int, now: int) -> None:
        if self.resumed:
            self._note("resumed", str(now))
        else:
            self._note("started", f"{now} {chat_id}")
        for day in self.committed:
            self._drop_spools(day)
        for path in self._directory.glob(f"*{_SPOOL}"):
            day, start = _part(path.name)
            self.spooled_at[day] = max(path.stat().st_mtime, self.spooled_at.get(day, 0.0))
            if self.spool(day, start).started_over:
                self.covered = {interval for interval in self.covered if interval[0] != start}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the request and keep what it has come to."""
        for spool in self._spools.values():
            spool.close()
        self._spools.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def spool(self, day: date, start: int) -> DaySpool:
        """The messages that were read so far of the day's part that begins at `start` (POSIX s)."""
        key = (day, start)
        if key not in self._spools:
            self._spools[key] = DaySpool(self._directory, f"{day}.{start}")
        return self._spools[key]

    def parts(self, day: date) -> DayParts:
        """All that was read of the day."""
        return DayParts([spool for (of, _), spool in self._spools.items() if of == day])

    def last_ids(self) -> dict[date, dict[int, int | None]]:
        """Per day in work and start of each of its parts, the highest id that was read."""
        found: dict[date, dict[int, int | None]] = {}
        for (day, start), spool in self._spools.items():
            found.setdefault(day, {})[start] = spool.last_id
        return found

    def mark_covered(self, start: int, end: int) -> None:
        """Remember that every message dated start..end (end excluded) is in the spools, which then are on disk."""
        if (start, end) not in self.covered:
            if spool := self._spools.get((day_of(start), start)):
                spool.sync()
                with writing(self._directory):
                    sync_directory(self._directory)
            self._note("covered", f"{start} {end}")
            self.covered.add((start, end))

    def mark_committing(self, day: date) -> None:
        """Remember that the day file is about to be written from the day's spools."""
        if day not in self.committing:
            self._note("committing", str(day))
            self.committing.add(day)

    def mark_committed(self, day: date) -> None:
        """Remember that the day file is in place, and drop the day's spools.

        Where a part of the day is marked as covered the mark must not outlive the part's spool in a power cut. Else a
        lost line costs no more than reading the day again, and the disk is not waited for.
        """
        self._note("committed", str(day), durable=any(day_of(start) == day for start, _ in self.covered))
        self.committed.add(day)
        self._drop_spools(day)

    def reopen(self, day: date) -> None:
        """Read the day anew, from its beginning."""
        self._drop_spools(day)
        self.committed.discard(day)
        self.covered = {interval for interval in self.covered if day_of(interval[0]) != day}

    def finish(self) -> None:
        """The range is complete: nothing is left to go on with.

        Renamed first, so that a kill never leaves spools without their journal, which a later request would go on from.
        """
        with writing(self._directory):
            finished = self._directory.with_name(f"{_FINISHED}{self._directory.name}.{secrets.token_hex(4)}")
            shutil.rmtree(self._directory.rename(finished))
        self.close()

    def _drop_spools(self, day: date) -> None:
        for key in [key for key in self._spools if key[0] == day]:
            self._spools.pop(key).close()
        with writing(self._directory):
            for path in self._directory.glob(f"{day}.*"):
                path.unlink()

    def _note(self, what: str, value: str, *, durable: bool = False) -> None:
        journal = self._directory / _JOURNAL
        with writing(journal), journal.open("ab") as stream:
            stream.write(f"{what} {value}\n".encode())
            stream.flush()
            if durable:
                os.fsync(stream.fileno())


class _Trace:
    """What a request's directory tells: when it began, what was committed, when somebody last worked on it.

    A ValueError where it makes no sense.
    """

    def __init__(self, directory: Path) -> None:
        self.started_at: int | None = None
        self.chat_id: int | None = None
        self.committed: set[date] = set()
        self.committing: set[date] = set()
        self.covered: set[tuple[int, int]] = set()
        self.last_sign = max((int(path.stat().st_mtime) for path in directory.iterdir()), default=0)
        self._journal = directory / _JOURNAL
        text = self._journal.read_bytes() if self._journal.exists() else b""
        self._whole = text.rfind(b"\n") + 1
        for line in text[: self._whole].decode().splitlines():
            what, _, value = line.partition(" ")
            match what:
                case "started":
                    started_at, _, chat_id = value.partition(" ")
                    self.started_at, self.chat_id = _time(started_at), int(chat_id)
                    self.last_sign = max(self.last_sign, self.started_at)
                case "resumed":
                    self.last_sign = max(self.last_sign, _time(value))
                case "committing":
                    self.committing.add(date.fromisoformat(value))
                case "committed":
                    self.committed.add(date.fromisoformat(value))
                case "covered":
                    start, _, end = value.partition(" ")
                    if _time(start) >= _time(end):
                        raise ValueError(line)
                    self.covered.add((int(start), int(end)))
                case _:
                    raise ValueError(line)
        for path in directory.glob(f"*{_SPOOL}"):
            _part(path.name)

    def cut_torn_end(self) -> None:
        if self._journal.exists():
            os.truncate(self._journal, self._whole)


def _part(name: str) -> tuple[date, int]:
    """Day and start of the part of a day whose spool is called so."""
    day, _, start = name.removesuffix(_SPOOL).partition(".")
    return date.fromisoformat(day), _time(start)


def _time(text: str) -> int:
    """A POSIX time that falls into a day of the calendar; ValueError."""
    try:
        day_of(int(text))
    except OverflowError as error:
        raise ValueError(text) from error
    return int(text)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_abandoned(chat_directory: Path, now: int) -> None:
    """Remove the chat's requests that are too old, or too damaged, to go on with and that nobody works on."""
    for directory in chat_directory.iterdir() if chat_directory.is_dir() else ():
        if not directory.is_dir():
            continue
        lock = try_lock_directory(directory)
        if lock is None:
            continue
        try:
            finished = directory.name.startswith(_FINISHED)
            abandoned = finished or now - _Trace(directory).last_sign >= RESUME_TTL
        except ValueError as error:
            logger.warning("%s is damaged (%s): what was read for it is thrown away.", directory, error)
            abandoned = True
        if abandoned:
            shutil.rmtree(directory)
        os.close(lock)
