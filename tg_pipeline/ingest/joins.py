"""How a read is joined to what was read before: by ids, because dates are only nearly in the order of ids.

The rules (ADR 0038): a read takes a message to the file of its date, whatever place it has among the ids. What it may
call its own is one unbroken interval of ids. The next read goes on from there.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import NamedTuple

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.day_lines import message_id
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.contracts.history import WITNESSES


class Edge(NamedTuple):
    """The highest id known of the days before a day, 0 for none. `joined`: every message up to it was read."""

    last_id: int
    joined: bool


NO_EDGE = Edge(0, joined=False)
LAST_IDS = 10
"""So many messages at most are read twice where a file ends with ids that do not follow each other."""


def edge_before(store: Archive, slug: str, day: date) -> Edge:
    """What is known of the ids before `day`.

    A file may hold a message out of place, which a read of later days has found. So only ids below those of the later
    files count, and of the last ids of a file that which follows others directly; and nothing is joined where a later
    day was read to its end, because what that read has found may lie behind what nobody has read. Reads the heads of a
    few files, and one whole file where ids are missing in it.
    """
    days = sorted(store.days(slug))
    at = bisect_left(days, day)
    try:
        below, is_last = _later(store, slug, day, days[at:])
        joined, expected = is_last, day - timedelta(days=1)
        for earlier in reversed(days[:at]):
            header = store.header(slug, earlier)
            if header is None:
                break
            joined = joined and header.sealed and earlier == expected
            expected = earlier - timedelta(days=1)
            first, last = header.first_message_id, header.last_message_id
            if first is None or last is None or (below is not None and first >= below):
                continue
            ends_unreadable = any(c.last_id == last for c in header.conditions if c.kind == "unreadable")
            if ends_unreadable or (below is not None and last >= below) or last - first >= header.message_count:
                lines = store.lines(slug, earlier)
                if ends_unreadable:  # what these stand for may be dated on the days that follow
                    lines = (line for line in lines if orjson.loads(line).get("type") != UNREADABLE)
                ids = [number for number in map(message_id, lines) if number < (below or math.inf)]
                if not ids:
                    continue
                last = _last_in_order(ids)
            return Edge(last, joined)
    except DayFileError:
        pass
    return NO_EDGE


def id_near(store: Archive, slug: str, day: date) -> int | None:
    """An archived id that no message of `day` precedes, so that who sees it sees all of the day; None for none.

    Of a day that was seen whole its own first; else the highest before it, or the lowest after.
    """
    days = sorted(store.days(slug))
    last = edge_before(store, slug, day).last_id
    with suppress(DayFileError):
        header = store.header(slug, day)
        is_whole = header is not None and header.sealed and all(c.kind != "not_visible" for c in header.conditions)
        if header is not None and is_whole and header.first_message_id is not None:
            return max(last, header.first_message_id)
        return last or _later(store, slug, day, days[bisect_left(days, day) :])[0]
    return last or None


def _last_in_order(ids: Iterable[int]) -> int:
    """Of the last of the ascending ids the highest that follows others directly, or else the lowest."""
    last = list(deque(ids, maxlen=LAST_IDS))
    runs = (number for number in reversed(last) if {number - n for n in range(WITNESSES)}.issubset(last))
    return next(runs, last[0])


def _later(store: Archive, slug: str, day: date, later: Sequence[date]) -> tuple[int | None, bool]:
    """The lowest id of `day` and what follows it, and whether no later day was read to its end."""
    lowest: int | None = None
    for one in later:
        header = store.header(slug, one)
        if header is not None and header.first_message_id is not None:
            lowest = min(header.first_message_id, lowest or header.first_message_id)
        if header is not None and header.sealed and one > day:
            return lowest, False
    return lowest, True


def lacking(store: Archive, slug: str, day: date, ids: Sequence[int]) -> set[int]:
    """Those of `ids` that the day's file lacks although the day was read to its end; none where it was not."""
    try:
        header = store.header(slug, day)
        return absent(store, slug, day, ids) if header is not None and header.sealed else set()
    except DayFileError:
        return set()


def absent(store: Archive, slug: str, day: date, ids: Sequence[int]) -> set[int]:
    """Those of `ids` that the day's file lacks: all, where there is none or it is damaged."""
    missing = set(ids)
    try:
        header = store.header(slug, day)
        if header is None or not ids:
            return missing
        highest = max(ids)
        if header.first_message_id is None or header.first_message_id > highest:
            return missing
        for number in map(message_id, store.lines(slug, day)):
            missing.discard(number)
            if not missing or number >= highest:
                break
    except DayFileError:
        return set(ids)
    return missing
