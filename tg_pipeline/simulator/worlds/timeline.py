"""When the message of a rank was sent, in closed form."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import accumulate
from math import ceil, floor, inf
from typing import Protocol

from tg_pipeline.simulator.worlds.draws import draw

DAY_SECONDS = 86_400


class Timeline(Protocol):
    """Dates ascend with rank; all are whole POSIX seconds, as on the wire."""

    def date(self, rank: int) -> int:
        """The date of that rank, whether or not it has come yet."""

    def rank_of_date(self, timestamp: float) -> int:
        """How many messages, of all times, precede the first one dated at `timestamp` or later."""


def size_at(timeline: Timeline, now: float) -> int:
    """How many messages are dated at `now` or before."""
    return timeline.rank_of_date(now if now == inf else floor(now) + 1)


class DailyTimeline:
    """A given number of messages each UTC day, spread over the day.

    Message k of a day of n is sent in second floor((k + u) * 86400 / n), with u in [0, 1) drawn from its rank, so that
    times ascend within the day. Costs one list of prefix sums over the days.
    """

    def __init__(self, first_day: date, counts: Sequence[int], seed: int, *, on_edges: bool = False) -> None:
        """`on_edges`: on days of two or more, the first is at 00:00:00 and the last at 23:59:59 exactly."""
        self._start = int(datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC).timestamp())
        self._before = list(accumulate(counts, initial=0))
        self._seed = seed
        self._on_edges = on_edges

    @property
    def total(self) -> int:
        """The messages of all days, past and future."""
        return self._before[-1]

    def place(self, rank: int) -> tuple[int, int, int]:
        """Day index, position within the day, and messages of that day."""
        day = bisect_right(self._before, rank) - 1
        first = self._before[day]
        return day, rank - first, self._before[day + 1] - first

    def date(self, rank: int) -> int:
        """The date of that rank, whether or not it has come yet; beyond the last, the midnight after the last day."""
        if rank >= self.total:
            return self._start + (len(self._before) - 1) * DAY_SECONDS
        day, position, count = self.place(rank)
        return self._start + day * DAY_SECONDS + self._second(rank, position, count)

    def rank_of_date(self, timestamp: float) -> int:
        """How many messages, of all times, precede the first one dated at `timestamp` or later."""
        if timestamp <= self._start:
            return 0
        if timestamp >= self._start + (len(self._before) - 1) * DAY_SECONDS:
            return self.total
        day, second = divmod(ceil(timestamp) - self._start, DAY_SECONDS)
        if day + 1 == len(self._before):
            return self.total
        first, stop = self._before[day : day + 2]
        count = stop - first
        return first + bisect_left(range(count), second, key=lambda k: self._second(first + k, k, count))

    def _second(self, rank: int, position: int, count: int) -> int:
        if self._on_edges and count > 1:
            if position == 0:
                return 0
            if position == count - 1:
                return DAY_SECONDS - 1
        return (((position << 16) | (draw(self._seed, rank) & 0xFFFF)) * DAY_SECONDS) // (count << 16)
