"""The day of what could not be decoded, which has no date of its own (ADR 0042).

It comes with the date of a neighbour. A placeholder stands where it first stood: in the file that already has its id;
else on the day of that date, but not before the day that the read begins with.
"""

from bisect import bisect_left
from datetime import date

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.day_lines import message_id
from tg_pipeline.contracts.days import day_of, day_start, utc_text
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.contracts.history import Record


def is_placeholder(record: Record) -> bool:
    """Whether the record stands for a message that could not be decoded."""
    return record.body.get("type") == UNREADABLE


def dated(record: Record, at: int) -> Record:
    """The record with that date (POSIX s)."""
    return Record(record.id, at, record.body | {"date": utc_text(at)})


class Placeholders:
    """Where those of one chat stand."""

    def __init__(self, store: Archive, slug: str) -> None:
        self._store = store
        self._slug = slug
        self._ids: dict[date, set[int]] = {}

    def placed(self, record: Record, neighbour: int) -> Record:
        """The placeholder on the day whose file has its id, where there is one. `neighbour`: its date as it came."""
        if not is_placeholder(record):
            return record
        days = sorted(self._store.days(self._slug))
        at = bisect_left(days, day_of(neighbour))
        for side, sign in ((days[at:], 1), (days[:at][::-1], -1)):
            for day in side:
                ids = self._ids_of(day)
                if record.id in ids:
                    return record if day == day_of(record.timestamp) else dated(record, day_start(day))
                if ids and all((number - record.id) * sign > 0 for number in (min(ids), max(ids))):
                    break
        return record

    def first_of(self, day: date) -> int | None:
        """The lowest id of the day's file where it is that of a placeholder: its message may precede the day."""
        try:
            header = self._store.header(self._slug, day)
        except DayFileError:
            return None
        found = [c.first_id for c in header.conditions if c.kind == "unreadable"] if header else []
        return next((first for first in found if header and first == header.first_message_id), None)

    def _ids_of(self, day: date) -> set[int]:
        if day not in self._ids:
            try:
                self._ids[day] = set(map(message_id, self._store.lines(self._slug, day)))
            except DayFileError:
                self._ids[day] = set()
        return self._ids[day]
