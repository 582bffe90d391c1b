"""What was done of a range that was asked for, a line for each step, safe from a killed process."""

import os
import re
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Self

from tg_pipeline.contracts.days import DayRange, day_of
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.machine.atomic import reading, writing

JOURNAL = ".journal"
_HISTORY = re.compile(r"-?\d+(/\d+)?( accepting)?")


class Journal:
    """`<first>_<last>.journal`: what was done of one request. A ValueError where it makes no sense."""

    def __init__(self, path: Path) -> None:
        self.path = path
        first, _, last = path.stem.partition("_")
        try:
            self.days = DayRange(date.fromisoformat(first), date.fromisoformat(last))
        except InputError as error:
            raise ValueError(path.name) from error
        self.history = ""
        """The chat's marked id; where message ids are an account's own, `/` and its id; ` accepting` deletions."""
        self.committed: set[date] = set()
        self.committing: set[date] = set()
        self.undecided: set[date] = set()
        self.waiting: set[date] = set()
        """Days that messages out of order stand among or are dated on, which are in no day file yet."""
        self.stale: set[date] = set()
        """Days in work of which another request has placed what was out of order: what was read of them lacks that."""
        self.covered: set[tuple[int, int]] = set()
        self.last_sign = int(path.stat().st_mtime)
        """When a process last worked on it, as far as the journal knows (POSIX s)."""
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        for line in text[:whole].decode().splitlines():
            self._understand(line)
        self._torn_at = whole if whole < len(text) else None

    @classmethod
    def started(cls, path: Path, history: str, now: int) -> Self:
        """A new one."""
        path.write_text(f"started {now} {history}\n")
        return cls(path)

    def cut_torn_end(self) -> None:
        """Remove what a process that was killed wrote of a line."""
        if self._torn_at is not None:
            os.truncate(self.path, self._torn_at)

    @property
    def is_complete(self) -> bool:
        """Whether every day of the request is committed, and nothing waits for its place."""
        return not self.waiting and all(day in self.committed for day in self.days)

    def is_complete_beside(self, days: DayRange) -> bool:
        """Whether it is complete where those days are."""
        return not self.waiting and all(day in self.committed or day in days for day in self.days)

    def note(self, line: str, *, durable: bool = False) -> None:
        """Append a line."""
        with writing(self.path), self.path.open("ab") as stream:
            stream.write(f"{line}\n".encode())
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        self._understand(line)

    def _understand(self, line: str) -> None:
        what, _, value = line.partition(" ")
        match what:
            case "started":
                started_at, _, self.history = value.partition(" ")
                if not _HISTORY.fullmatch(self.history):
                    raise ValueError(line)
                self.last_sign = max(self.last_sign, posix_time(started_at))
            case "resumed":
                self.last_sign = max(self.last_sign, posix_time(value))
            case "committing" | "undecided" | "committed" | "waiting":
                getattr(self, what).add(date.fromisoformat(value))
                self.stale -= self.committed
            case "placed":
                self.stale |= self.waiting - self.committed
                self.waiting.clear()
            case "reopened":
                day = date.fromisoformat(value)
                self.stale.discard(day)
                self.committed.discard(day)
                self.committing.discard(day)
                self.undecided.discard(day)
                self.covered = {part for part in self.covered if day_of(part[0]) != day}
            case "covered":
                start, _, end = value.partition(" ")
                if posix_time(start) >= posix_time(end):
                    raise ValueError(line)
                self.covered.add((int(start), int(end)))
            case _:
                raise ValueError(line)


def interrupted_ranges(spool_root: Path, slug: str) -> list[DayRange]:
    """The ranges of the chat's requests that are not complete, ascending. Reads only."""
    found = []
    with reading(spool_root / slug):
        for path in files_of(spool_root / slug, JOURNAL):
            with suppress(ValueError, FileNotFoundError):
                journal = Journal(path)
                if not journal.is_complete:
                    found.append(journal.days)
    return found


def files_of(directory: Path, suffix: str) -> list[Path]:
    """The files of this suffix, sorted; none where there is no directory.

    From Python 3.13 on `Path.glob` gives none where a directory may not be read: nothing to resume, it would seem.
    """
    try:
        return sorted(path for path in directory.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError:
        return []


def posix_time(text: str) -> int:
    """A POSIX time that falls into a day of the calendar; ValueError."""
    try:
        day_of(int(text))
    except OverflowError as error:
        raise ValueError(text) from error
    return int(text)
