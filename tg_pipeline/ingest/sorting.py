"""The messages of a page by the day of their date, and which of them are out of the order of their ids."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tg_pipeline.contracts.days import SECONDS_PER_DAY
from tg_pipeline.contracts.history import Record
from tg_pipeline.ingest.segments import Segment


class Sorted(NamedTuple):
    """What a page brings to a segment.

    `days`: its messages in order, by day (counted since 1970), ascending both in days and in ids. `strays`: messages
    whose date belongs elsewhere, by the day among whose messages they stand. `before` and `after`: those that stand
    outside of the segment.
    """

    days: dict[int, list[Record]]
    strays: dict[int, list[Record]]
    before: list[Record]
    after: list[Record]


def sort_out(records: Sequence[Record], segment: Segment, until: int, *, joined: bool) -> Sorted:
    """Sort the records, ascending by id, and move `segment.current` on.

    A message stands within the segment where one of the segment follows it, or where the segment is `joined` to the
    next one; what is dated later than both its neighbours is a stray, and so is what is dated earlier.
    """
    start, end = segment.start, min(segment.end, until)
    first = len(records) if segment.first_id is None else 0
    while first < len(records) and records[first].id < (segment.first_id or 0):
        first += 1
    stop = len(records)
    while stop > first and not joined and records[stop - 1].timestamp >= end:
        stop -= 1
    places: list[int] = []
    for record in reversed(records[first:stop]):
        day = record.timestamp // SECONDS_PER_DAY
        places.append(min(day, places[-1]) if places else day)
    days: defaultdict[int, list[Record]] = defaultdict(list)
    strays: defaultdict[int, list[Record]] = defaultdict(list)
    for record, place in zip(records[first:stop], reversed(places), strict=True):
        segment.current = max(segment.current, place)
        if record.timestamp // SECONDS_PER_DAY == segment.current and start <= record.timestamp < end:
            days[segment.current].append(record)
        elif not end <= record.timestamp < segment.end:
            strays[min(segment.current, (segment.end - 1) // SECONDS_PER_DAY)].append(record)
    return Sorted(days, strays, list(records[:first]), list(records[stop:]))
