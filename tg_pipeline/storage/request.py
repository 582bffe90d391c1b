"""What was read of a chat and is not committed yet, by day: what an interrupted run leaves to the next."""

import logging
import os
import shutil
from collections.abc import Collection
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Self

from tg_pipeline.contracts.chat import SLUG_RULE, is_slug
from tg_pipeline.contracts.days import DayRange, day_of
from tg_pipeline.contracts.errors import InputError, LeaseUnavailable
from tg_pipeline.machine.atomic import make_directory, sync_directory, writing
from tg_pipeline.machine.locks import try_lock_directory
from tg_pipeline.storage.journal import JOURNAL, Journal, files_of, posix_time
from tg_pipeline.storage.parts import DayParts
from tg_pipeline.storage.spool import DaySpool

logger = logging.getLogger(__name__)

RESUME_TTL = 24 * 3600
"""Seconds after its last sign of life during which an interrupted request can be resumed."""

_SPOOL = ".messages"
_PARTICIPANTS = ".participants"


class PendingRequest:
    """`<spool_root>/<slug>/`: the spools of days being read, and a journal for each range that was asked for.

    A spool belongs to its day: a request resumes what interrupted requests of any range have read of its days.
    Held by one process at a time. Use as a context manager: leaving the block releases the request and keeps what was
    read; `finish` removes it.
    """

    def __init__(self, directory: Path, lock: int, days: DayRange, *, history: str, now: int) -> None:
        self._directory = directory
        self._lock: int | None = lock
        self._spools: dict[tuple[date, int], DaySpool] = {}
        self._journals = _live_journals(directory, history, now)
        _remove_all_but(directory, self._journals)
        self.committed = {day for journal in self._journals for day in journal.committed if day in days}
        """Days of this request whose day files are in place."""
        self.covered = {part for journal in self._journals for part in journal.covered if day_of(part[0]) in days}
        """Intervals (POSIX s, end excluded) that were read to their end though their day is not committed yet."""
        self.committing = {day for journal in self._journals for day in journal.committing if day in days}
        """Days whose day files this request has written, or was about to write when it was interrupted."""
        self.undecided = {
            day for journal in self._journals for day in journal.undecided if day in days
        } - self.committed
        """Days that were read to their ends and not written: only the rest of their request decides what they lack."""
        self.waiting = {day for journal in self._journals for day in journal.waiting if day in days}
        """Days of this request whose files must not be sealed: messages out of order stand among theirs, or are dated
        on them, and are in no day file yet."""
        self.spooled_at: dict[date, float] = {}
        """Per day that an interrupted process left in work, when it last wrote to its spools (POSIX s)."""
        path = directory / f"{days.first}_{days.last}{JOURNAL}"
        own = next((journal for journal in self._journals if journal.path == path), None)
        if own is not None:
            own.note(f"resumed {now}")
        elif len(self.committed) == len(days):
            # A longer request is interrupted, and these days of it are complete: a request for them reads them again.
            for day in days:
                self.reopen(day)
        self._own = own or self._begun(path, history, now)
        self._journals = [self._own, *(journal for journal in self._journals if journal is not own)]
        self._strays: dict[str, DaySpool] = {}
        self._open_spools(days)
        self._reopen_without_strays()
        self._reopen_undecoded()
        self.resumed = own is not None or bool(self.committed or self._spools)
        """An earlier process has read a part of the range."""

    @classmethod
    def open(
        cls,
        spool_root: Path,
        slug: str,
        days: DayRange,
        *,
        chat_id: int,
        now: int,
        account: int | None = None,
        accept_deletions: bool = False,
    ) -> Self:
        """Resume what was interrupted less than RESUME_TTL before `now` (POSIX s); begin the rest.

        What was read of another chat than `chat_id`, or as another `account` sees it, under the same slug, is removed;
        so is what a request has read that took other deletions for true: that was decided, and is to be decided again.
        Raises LeaseUnavailable where another process fetches the chat, StorageError where the spool cannot be written.
        """
        if not is_slug(slug):
            raise InputError(f"{slug!r} cannot name a chat's directory: allowed are {SLUG_RULE}.")
        directory = spool_root / slug
        with writing(directory), ExitStack() as opened:
            make_directory(directory)
            lock = try_lock_directory(directory)
            if lock is None:
                raise LeaseUnavailable(f"Another process is fetching {slug}; try again when it has ended.")
            opened.callback(os.close, lock)
            history = str(chat_id) if account is None else f"{chat_id}/{account}"
            history += " accepting" if accept_deletions else ""
            request = cls(directory, lock, days, history=history, now=now)
            opened.pop_all()
            return request

    def _begun(self, path: Path, history: str, now: int) -> Journal:
        """A new journal, which knows what others have done of its days: they may end before it."""
        journal = Journal.started(path, history, now)
        for day in sorted(self.committed):
            journal.note(f"committed {day}")
        for day in sorted(self.waiting):
            journal.note(f"waiting {day}")
        return journal

    def _reopen_without_strays(self) -> None:
        """Read again what messages out of order were found among, where these are lost or placed by another request."""
        for journal in self._journals:
            for day in sorted(journal.stale):
                self.reopen(day)
            if journal.waiting and not any(spool.message_count for spool in self._strays.values()):
                for day in sorted(journal.waiting):
                    self.reopen(day)

    def _reopen_undecoded(self) -> None:
        """Read again the days in work of which something could not be decoded: it may be by now, and of another day."""
        for day in sorted({day for (day, _), spool in self._spools.items() if spool.unreadable}):
            self.reopen(day)

    def _open_spools(self, days: DayRange) -> None:
        for day in self.committed:
            self._drop_spools(day)
        try:
            for path in files_of(self._directory, _SPOOL):
                if any(path.stem == journal.path.stem for journal in self._journals):
                    self._strays[path.stem] = DaySpool(self._directory, path.stem)
                    continue
                day, start = _part(path.stem)
                if day in days:
                    self.spooled_at[day] = max(path.stat().st_mtime, self.spooled_at.get(day, 0.0))
                    if self.spool(day, start).started_over:
                        self.covered = {interval for interval in self.covered if interval[0] != start}
        except BaseException:
            self._close_spools()
            raise

    @property
    def days(self) -> DayRange:
        """Those that were asked for."""
        return self._own.days

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the request and keep what was read."""
        self._close_spools()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _close_spools(self) -> None:
        for spool in (*self._spools.values(), *self._strays.values()):
            spool.close()
        self._spools.clear()
        self._strays.clear()

    def spool(self, day: date, start: int) -> DaySpool:
        """The messages that were read so far of the day's part that begins at `start` (POSIX s)."""
        key = (day, start)
        if key not in self._spools:
            self._spools[key] = DaySpool(self._directory, f"{day}.{start}")
        return self._spools[key]

    def parts(self, day: date) -> DayParts:
        """All that was read of the day."""
        return DayParts([spool for (of, _), spool in self._spools.items() if of == day])

    def holds(self, day: date, message_id: int) -> bool:
        """Whether a part of the day has that message."""
        return any(of == day and message_id in spool for (of, _), spool in self._spools.items())

    def ids(self) -> dict[date, dict[int, tuple[int, int] | None]]:
        """Per day in work and start of each of its parts, the lowest and the highest id that was read."""
        found: dict[date, dict[int, tuple[int, int] | None]] = {}
        for (day, start), spool in self._spools.items():
            known = spool.first_id is not None and spool.last_id is not None
            found.setdefault(day, {})[start] = (spool.first_id, spool.last_id) if known else None  # type: ignore[assignment] # both are known
        return found

    def strays(self) -> list[DaySpool]:
        """Messages of any day that are out of the order of their ids, of this request and of interrupted ones."""
        return [self._strays[name] for name in sorted(self._strays)]

    def stray_spool(self) -> DaySpool:
        """Where this request keeps such messages."""
        name = self._own.path.stem
        if name not in self._strays:
            self._strays[name] = DaySpool(self._directory, name)
        return self._strays[name]

    def mark_covered(self, start: int, end: int) -> None:
        """Remember that every message dated start..end (end excluded) is in the spools, which then are on disk."""
        if (start, end) not in self.covered:
            if spool := self._spools.get((day_of(start), start)):
                for written in (*self._strays.values(), spool):
                    written.sync()
                with writing(self._directory):
                    sync_directory(self._directory)
            self._note(day_of(start), f"covered {start} {end}")
            self.covered.add((start, end))

    def mark_committing(self, day: date) -> None:
        """Remember that the day file is about to be written from the day's spools."""
        if day in self.waiting:  # the file is not to outlive them in a power cut
            for spool in self._strays.values():
                spool.sync()
        if day not in self.committing:
            self._note(day, f"committing {day}")
            self.committing.add(day)

    def mark_waiting(self, day: date) -> None:
        """Remember that messages out of order stand among those of the day, or are dated on it, and wait in a spool."""
        self._note(day, f"waiting {day}")
        self.waiting.add(day)

    def waited(self) -> list[date]:
        """The days that are committed and not sealed because messages out of order wait, of every request."""
        return sorted({day for journal in self._journals for day in journal.waiting & journal.committed})

    def mark_placed(self) -> None:
        """Remember that all that was out of order is in the day files, and drop it."""
        for journal in self._journals:
            if journal.waiting:
                journal.note("placed")
        self.waiting.clear()
        for spool in self._strays.values():
            spool.clear()

    def mark_undecided(self, day: date) -> None:
        """Remember that the day file was not written after all: the rest of the request decides what becomes of it.

        The spools stay. A resumed request reads the day again: it would not know which ids the read has covered.
        """
        self._note(day, f"undecided {day}")
        self.undecided.add(day)

    def mark_committed(self, day: date) -> None:
        """Remember that the day file is in place, and drop the day's spools."""
        self._note(day, f"committed {day}", durable=self._is_covered(day))
        self.committed.add(day)
        self.undecided.discard(day)
        self._drop_spools(day)

    def reopen(self, day: date) -> None:
        """Read the day again, from its beginning."""
        self._note(day, f"reopened {day}", durable=self._is_covered(day))
        self.committed.discard(day)
        self.committing.discard(day)
        self.undecided.discard(day)
        self.covered = {interval for interval in self.covered if day_of(interval[0]) != day}
        self._drop_spools(day)

    def finish(self) -> None:
        """The range is complete: remove it, and every interrupted request of which it has read the rest.

        Journals go first: spools without a journal are never resumed.
        """
        with writing(self._directory):
            for journal in self._journals:
                if journal is self._own or journal.is_complete_beside(self._own.days):
                    journal.path.unlink()
            if self.covered:
                sync_directory(self._directory)
            self._close_spools()
            _remove_all_but(self._directory, [j for j in self._journals if j.path.exists()])
        self.close()

    def _drop_spools(self, day: date) -> None:
        for key in [key for key in self._spools if key[0] == day]:
            self._spools.pop(key).close()
        with writing(self._directory):
            for path in self._directory.glob(f"{day}.*"):
                path.unlink()

    def _is_covered(self, day: date) -> bool:
        """Whether a part of the day is marked as covered: the mark must not outlive the spool in a power cut.

        Else a lost line costs no more than reading the day again, and the disk is not waited for.
        """
        return any(day_of(start) == day for start, _ in self.covered)

    def _note(self, day: date, line: str, *, durable: bool = False) -> None:
        for journal in self._journals:
            if day in journal.days:
                journal.note(line, durable=durable)


def remove_expired(spool_roots: Path, now: int) -> int:
    """Remove what can no longer be resumed, of all archives under `spool_roots`; how many requests.

    A fetch does so for its own chat; this is for chats that are not fetched again.
    """
    removed = 0
    with writing(spool_roots):
        for directory in spool_roots.glob("*/*/"):
            lock = try_lock_directory(directory)
            if lock is None:
                continue
            try:
                live = _live_journals(directory, None, now)
                removed += len(files_of(directory, JOURNAL)) - len(live)
                _remove_all_but(directory, live)
            finally:
                os.close(lock)
    return removed


def _live_journals(directory: Path, history: str | None, now: int) -> list[Journal]:
    """The journals that can be resumed: of this history, or any; not damaged, and not older than RESUME_TTL."""
    found = []
    for path in files_of(directory, JOURNAL):
        try:
            journal = Journal(path)
        except ValueError as error:
            logger.warning("%s is damaged (%s): its days are read again.", path, error)
            continue
        spools = [spool for spool in files_of(directory, _SPOOL) if _is_of(spool, [journal])]
        last_sign = max(journal.last_sign, *(int(spool.stat().st_mtime) for spool in spools), 0)
        if history in {journal.history, None} and now - last_sign < RESUME_TTL:
            journal.cut_torn_end()
            found.append(journal)
    return found


def _remove_all_but(directory: Path, journals: Collection[Journal]) -> None:
    """Remove everything but these journals and the spools of their days."""
    kept = {journal.path for journal in journals}
    for path in directory.iterdir():
        if path not in kept and not _is_of(path, journals):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_of(path: Path, journals: Collection[Journal]) -> bool:
    """Whether the path is that of a spool of a day that one of the requests asked for, or of its strays."""
    if path.suffix in {_SPOOL, _PARTICIPANTS} and any(path.stem == journal.path.stem for journal in journals):
        return True
    try:
        day, _ = _part(path.stem)
    except ValueError:
        return False
    return path.suffix in {_SPOOL, _PARTICIPANTS} and any(day in journal.days for journal in journals)


def _part(name: str) -> tuple[date, int]:
    """Day and start of the part of a day whose spool has that name."""
    day, _, start = name.partition(".")
    return date.fromisoformat(day), posix_time(start)
