"""What is still to be read of a range, as disjoint intervals of time that are read side by side.

A segment is read by one ascending cursor, one page at a time. Pages of one segment follow each other (where the next
begins is known only when the last has come), so more pages in flight means more segments. Segments are cut by *time*,
which Telegram can seek to, and never by guessed message ids: gaps in the ids then cost nothing, and a cut costs at most
one call, because the page before it may reach past it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

from tg_pipeline.contracts.days import DayRange, day_end, day_of, day_start
from tg_pipeline.contracts.history import Cursor

MIN_PAGES_TO_SPLIT = 4.0
"""A segment expected to need fewer pages is left alone: the cut would cost more than it wins."""
FREE_SPLITS = 2
PAGES_PER_SPLIT = 40
"""Beyond the first two, one cut for every so many pages read: extra calls stay under 2.5 % of all."""


@dataclass(slots=True, eq=False)
class Segment:
    """The times start..end (POSIX s, end excluded), read up to `passed`: every earlier message of it has been taken."""

    start: int
    end: int
    after_id: int | None = None
    passed: int = field(init=False)
    resumed_at: int = field(init=False)
    pages: int = 0

    def __post_init__(self) -> None:
        self.passed = self.resumed_at = self.start

    @property
    def done(self) -> bool:
        """Read to its end."""
        return self.passed >= self.end

    @property
    def cursor(self) -> Cursor:
        """Where the next page begins."""
        return Cursor(since=self.start, after_id=self.after_id)

    def pages_left(self, until: int) -> float:
        """Expected from the pace so far, history ending at `until`; 0 while nothing is known."""
        covered = self.passed - self.resumed_at
        return self.pages * (min(self.end, until) - self.passed) / covered if covered > 0 else 0.0


def plan(
    days: DayRange,
    committed: Collection[date],
    covered: Collection[tuple[int, int]],
    parts: Mapping[date, Mapping[int, int | None]],
) -> list[Segment]:
    """The segments of a request, given what an interrupted call of it left behind.

    `committed` days are not read again. `parts` holds, per day, the spools found by the time they begin at and the
    last id in each; `covered` the intervals that were read to their end. Covered segments come back as done.
    """
    segments: list[Segment] = []
    for day in (d for d in days if d not in committed):
        found = parts.get(day, {})
        cuts = {day_start(day), *found, *(end for _, end in covered if day_of(end) == day)}
        bounds = [*sorted(cuts), day_end(day)]
        for start, end in pairwise(bounds):
            piece = Segment(start, end, after_id=found.get(start))
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
    later = Segment(cut, longest.end)
    longest.end = cut
    return later
