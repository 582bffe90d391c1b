"""The day of what could not be decoded, which has no date of its own (ADR 0042).

It comes with the date of a neighbour. A placeholder stands where it first stood: in the file that already has its id;
else on the day of that date, but not before the day that the read begins with. Once its message is read, it goes from
that file, whatever day the message is of (ADR 0052).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import date
from functools import cached_property

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.day_lines import message_id
from tg_pipeline.contracts.days import day_of, day_start, utc_text
from tg_pipeline.contracts.errors import DayFileError, StorageError
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import History, Record


def is_placeholder(record: Record) -> bool:
    """Whether the record stands for a message that could not be decoded."""
    return record.body.get("type") == UNREADABLE


def dated(record: Record, at: int) -> Record:
    """The record with that date (POSIX s)."""
    return Record(record.id, at, record.body | {"date": utc_text(at)})


def placeholder_ids(store: Archive, slug: str, day: date) -> list[int]:
    """The ids of those in a day file. Raises as `Archive.lines`."""
    lines = (line for line in store.lines(slug, day) if b'"unreadable"' in line)
    return [body["id"] for body in map(orjson.loads, lines) if body.get("type") == UNREADABLE]


class Placeholders:
    """Where those of one chat stand, and that each goes when its message is read."""

    def __init__(self, history: History, store: Archive, report: FetchReport) -> None:
        self._history = history
        self._store = store
        self._report = report
        self._slug = report.slug
        self._ids: dict[date, set[int]] = {}

    @cached_property
    def standing(self) -> dict[int, date]:
        """The days of those that were archived when the fetch began, by id.

        The days of the fetch are looked at whatever is known of them: a file may have been put back from a backup.
        """
        found: dict[int, date] = {}
        days = self._store.unreadable(self._slug)
        for day in {*days, *filter(self._ends, self._report.range)}:
            with suppress(DayFileError, StorageError):
                found |= dict.fromkeys(placeholder_ids(self._store, self._slug, day), day)
        if set(days) != set(found.values()):
            self._store.note_unreadable(self._slug, set(found.values()))
        return found

    def reload(self) -> None:
        """Look at the files again: some were written."""
        self.__dict__.pop("standing", None)

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """The lowest and the highest id of those, not called deleted, on the days of start..end (POSIX s, excluded)."""
        first, last = day_of(start), day_of(end - 1)
        days = {day for day in self.standing.values() if first <= day <= last}
        ends = [ids for day in days if (ids := self._ends(day)) is not None]
        return (min(ids[0] for ids in ends), max(ids[1] for ids in ends)) if ends else None

    def stands_for(self, record: Record) -> bool:
        """Whether one stands for this message, which could be decoded now, in the file of its day."""
        return self.standing.get(record.id) == day_of(record.timestamp) and not is_placeholder(record)

    def expect(self, day: date, numbers: Collection[int]) -> None:
        """Note that these, if any, are about to be archived on that day."""
        known = self._store.unreadable(self._slug) if numbers else [day]
        if day not in known:
            self._store.note_unreadable(self._slug, [*known, day])

    def elsewhere(self, day: date, numbers: Iterable[int]) -> set[int]:
        """Those of them that are archived on another day by now, or their messages are."""
        self._ids.clear()
        return {number for number in numbers if (self._day_of(number, day) or day) != day}

    def remove(self, decoded: Mapping[int, date]) -> None:
        """Remove those of messages that could be decoded and are of another day. Raises as `Archive.amend`."""
        by_day: defaultdict[date, set[int]] = defaultdict(set)
        for number in decoded.keys() & self.standing.keys():
            if self.standing[number] != decoded[number]:
                by_day[self.standing.pop(number)].add(number)
        for day, numbers in sorted(by_day.items()):
            amended = self._store.amend(
                *(self._slug, self._report.chat_id, day, (), {}), account=self._history.account, decoded=numbers
            )
            self._report.rewrote(amended)

    def placed(self, record: Record, neighbour: int) -> Record:
        """The placeholder on the day whose file has its id, where there is one. `neighbour`: its date as it came."""
        if not is_placeholder(record):
            return record
        day = self._day_of(record.id, day_of(neighbour))
        return record if day in {None, day_of(record.timestamp)} else dated(record, day_start(day))

    def _day_of(self, number: int, near: date) -> date | None:
        """The day whose file has that id, if any; `near`: where to begin."""
        if number in self.standing:
            return self.standing[number]
        days = sorted(self._store.days(self._slug))
        at = bisect_left(days, near)
        for side, sign in ((days[at:], 1), (days[:at][::-1], -1)):
            for day in side:
                ids = self._ids_of(day)
                if number in ids:
                    return day
                if ids and all((end - number) * sign > 0 for end in (min(ids), max(ids))):
                    break
        return None

    def _ends(self, day: date) -> tuple[int, int] | None:
        """The lowest and the highest id of those in the day's file that are not called deleted."""
        with suppress(DayFileError):
            header = self._store.header(self._slug, day)
            for condition in header.conditions if header else ():
                if condition.kind == "unreadable" and condition.first_id and condition.last_id:
                    return condition.first_id, condition.last_id
        return None

    def _ids_of(self, day: date) -> set[int]:
        if day not in self._ids:
            try:
                self._ids[day] = set(map(message_id, self._store.lines(self._slug, day)))
            except DayFileError:
                self._ids[day] = set()
        return self._ids[day]
