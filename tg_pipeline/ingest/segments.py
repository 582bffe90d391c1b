"""What is still to be read of a range, as disjoint intervals of time that are read side by side.

A segment is read by one ascending cursor, one page at a time. Pages of one segment follow each other (where the next
begins is known only when the last has come), so more pages in flight means more segments. Segments are cut by *time*,
which Telegram can seek to, and never by guessed message ids: gaps in the ids then cost nothing, and a cut costs at most
one call, because the page before it may reach past it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from tg_pipeline.contracts.days import SECONDS_PER_DAY, DayRange, day_end, day_of, day_start
from tg_pipeline.contracts.history import Cursor, Page, Record
from tg_pipeline.ingest.placeholders import dated, is_placeholder

DATE_SLACK_SECONDS = 2
"""Ids ascend strictly, dates only nearly: a message may carry a date a second before its predecessor's."""
MIN_PAGES_TO_SPLIT = 4.0
"""A segment expected to need fewer pages is left alone: the cut would cost more than it wins."""
FREE_SPLITS = 2
PAGES_PER_SPLIT = 40
"""Beyond the first two, one cut for every so many pages read: extra calls stay under 2.5 % of all."""


@dataclass(slots=True, eq=False)
class Segment:
    """The times start..end (POSIX s, end excluded), read up to `passed`: every earlier message of it has been taken.

    `reached` is later than every message that came so far: only from there on may the segment be cut. By ids, all from
    `first_id` to `taken_id` was taken; `covers_from` is lower where nothing is known to lie between it and `first_id`.
    `held` are messages dated after the end: they are taken where a message of the segment follows them.
    """

    start: int
    end: int
    after_id: int | None = None
    first_id: int | None = None
    taken_id: int = 0
    covers_from: int | None = None
    passed: int = field(init=False)
    reached: int = field(init=False)
    began_at: int = field(init=False)
    pages: int = 0
    current: int = field(init=False)
    """The day, counted since 1970, that the read has come to."""
    at_newest: bool = False
    """Whether it was read up to the newest message there is."""
    left_from: int | None = None
    """The lowest id of those that it was given and left to the segment behind it."""
    floor: int | None = None
    """The lowest id that its days have a placeholder for."""
    held: list[tuple[Record, dict[str, Any] | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.passed = self.reached = self.began_at = self.start
        self.current = self.start // SECONDS_PER_DAY
        self.taken_id = self.after_id or 0

    @property
    def done(self) -> bool:
        """Read to its end."""
        return self.passed >= self.end

    @property
    def cursor(self) -> Cursor:
        """Where the next page begins.

        By date it begins a little early: whether Telegram counts the very second of `offset_date` in or out was never
        measured, and dates are not quite in order.
        """
        return Cursor(since=self.start - DATE_SLACK_SECONDS, after_id=self.after_id)

    def go_on_after(self, message_id: int) -> None:
        """Begin after a message that was read before, where its id is known, and not by date."""
        self.after_id = self.taken_id = message_id
        self.first_id = self.covers_from = message_id + 1

    def dated(self, record: Record) -> Record:
        """The record; a placeholder not before the start (`ingest.placeholders`)."""
        return dated(record, self.start) if record.timestamp < self.start and is_placeholder(record) else record

    def receive(self, page: Page, until: int, *, ends_at: int | None = None) -> bool:
        """Note a page that has come; whether it is the last one, history ending at `until`.

        The last is an empty page, or one that reaches the id `ends_at`, from where on another segment reads, or else
        one whose last two messages are dated beyond the segment: one alone may be dated ahead of its neighbours. Never
        a short one: messages may be filtered out of it.
        """
        times = page.timestamps
        if times:
            if self.pages == 0 and self.after_id is not None:
                self.began_at = max(self.start, times[0])
            self.reached = max(self.reached, max(times) + 1)
        self.pages += 1
        if self.first_id is None:
            dated = map(self.dated, page.records())
            self.first_id = next((record.id for record in dated if record.timestamp >= self.start), None)
        if page.ids:
            self.after_id = page.ids[-1]
            if ends_at is not None:
                return page.ids[-1] >= ends_at - 1
            return bool(times) and min(times[-2:]) >= min(self.end, until) + DATE_SLACK_SECONDS
        self.at_newest = True
        return True

    def taken(self, page: Page, *, ended: bool, before: int | None = None) -> None:
        """Note that the page's messages dated earlier than `before` (POSIX s), or all of them, are safe."""
        if ended:
            passed = self.reached = self.end
        elif page.timestamps:
            passed = min(*page.timestamps[-2:], self.end + DATE_SLACK_SECONDS) - DATE_SLACK_SECONDS
        else:
            return
        self.passed = max(self.passed, passed if before is None else min(passed, before))

    def has_passed(self, message_id: int) -> bool:
        """Whether pages of the read lie around that id, whether or not the segment took what they held."""
        begun = self.first_id is not None and self.first_id <= message_id
        return begun and self.pages > 0 and (self.at_newest or message_id <= (self.after_id or 0))

    def has_taken(self, message_id: int) -> bool:
        """Whether everything around that id was taken by this segment."""
        return self.first_id is not None and self.first_id <= message_id <= self.taken_id

    def has_taken_of(self, ids: Sequence[int]) -> bool:
        """Whether it may have taken one of `ids`, which ascend."""
        return bool(ids) and self.first_id is not None and self.first_id <= ids[-1] and ids[0] <= self.taken_id

    def covers(self, message_id: int) -> bool:
        """Whether a message of that id would have been seen, if there still were one."""
        first = self.first_id if self.covers_from is None else self.covers_from
        return (
            self.at_newest if first is None else first <= message_id and (self.at_newest or message_id <= self.taken_id)
        )

    def pages_left(self, until: int) -> float:
        """Expected from the pace so far, history ending at `until`; 0 while nothing is known."""
        covered = self.passed - self.began_at
        return self.pages * (min(self.end, until) - self.passed) / covered if covered > 0 else 0.0


def plan(
    days: DayRange,
    committed: Collection[date],
    covered: Collection[tuple[int, int]],
    parts: Mapping[date, Mapping[int, tuple[int, int] | None]],
) -> list[Segment]:
    """The segments of a request, given what an interrupted call of it left behind.

    `committed` days are not read again. `parts` holds, per day, the spools found by the time they begin at and the
    first and last id in each; `covered` the intervals that were read to their end. Covered segments come back as done.
    """
    segments: list[Segment] = []
    for day in (d for d in days if d not in committed):
        found = parts.get(day, {})
        cuts = {day_start(day), *found, *(end for _, end in covered if day_of(end) == day)}
        bounds = [*sorted(cuts), day_end(day)]
        for start, end in pairwise(bounds):
            first_id, last_id = found.get(start) or (None, None)
            piece = Segment(start, end, after_id=last_id, first_id=first_id)
            if any(a <= start and end <= b for a, b in covered):
                piece.passed = end
            last = segments[-1] if segments else None
            if last and last.end == start and not last.done and not piece.done and start not in found:
                last.end = end
            else:
                segments.append(piece)
    return segments


def split(busy: Collection[Segment], *, until: int, pages: int, splits: int) -> Segment | None:
    """Cut the busiest segment in two and return the later half, for an idle reader to take; None where it does not pay.

    `until` is the end of history, `pages` and `splits` what the fetch has made so far.
    """
    if not busy or splits >= FREE_SPLITS + pages // PAGES_PER_SPLIT:
        return None
    longest = max(busy, key=lambda s: s.pages_left(until))
    if longest.pages_left(until) < MIN_PAGES_TO_SPLIT:
        return None
    end = min(longest.end, until)
    middle = (longest.passed + end) // 2
    midnight = day_start(day_of(middle + 43_200))
    near = (end - longest.passed) // 4
    cut = midnight if abs(midnight - middle) <= near else middle
    if not longest.reached <= cut < end:
        return None
    later = Segment(cut, longest.end)
    longest.end = cut
    return later
