"""Whether what a read lacks of the archive can be deletions, judged over all days of the read (ADR 0043)."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

from tg_pipeline.contracts.archive import Verdict

HELD_BACK_MESSAGES = 10
HELD_BACK_SHARE = 0.5
"""Days in a row of which a read lacks so many messages, and this share of them or more, are held back."""

_NEARBY_DAYS = 31
"""How far around a day is looked while the read goes on."""


class _Day(NamedTuple):
    day: date
    lacking: int
    expected: int

    @property
    def is_suspect(self) -> bool:
        return self.lacking > 0 and self.lacking >= HELD_BACK_SHARE * self.expected


class Deletions:
    """What one read lacks of the files of its days, noted day by day in any order.

    A day that lacks less than HELD_BACK_SHARE of its messages is believed at once. Any other is held back where it is
    part of a stretch of noted days that lacks HELD_BACK_MESSAGES, and HELD_BACK_SHARE of what should have been found in
    it; or of a row of such days that lacks HELD_BACK_MESSAGES, one other day with messages at most between two of them.
    That it is of neither is known when the whole read has ended.
    """

    def __init__(self, *, ended: bool = False) -> None:
        self.ended = ended
        self._days: dict[date, _Day] = {}
        self._lost: set[date] | None = None

    def end(self) -> None:
        """The read has come to its end: from now on every day is decided."""
        self.ended = True

    def judge(self, day: date, lacking: int, expected: int) -> Verdict:
        """The verdict on a day, given how many archived messages the read lacks of those that it should have found."""
        noted = _Day(day, lacking, expected)
        if self._days.get(day) != noted:
            self._days[day], self._lost = noted, None
        if not noted.is_suspect:
            return Verdict.DELETED
        if day in (self._lost_days() if self.ended else _lost(self._nearby(day))):
            return Verdict.HELD_BACK
        return Verdict.DELETED if self.ended else Verdict.UNDECIDED

    def _lost_days(self) -> set[date]:
        if self._lost is None:
            days = enumerate(self._days[day] for day in sorted(self._days))
            runs = groupby(days, key=lambda numbered: numbered[1].day.toordinal() - numbered[0])
            self._lost = {day for _, run in runs for day in _lost([noted for _, noted in run])}
        return self._lost

    def _nearby(self, day: date) -> list[_Day]:
        """The days around it, as far as nothing between them is still to be read."""
        first = last = day
        while (earlier := first - timedelta(days=1)) in self._days and (day - earlier).days <= _NEARBY_DAYS:
            first = earlier
        while (later := last + timedelta(days=1)) in self._days and (later - day).days <= _NEARBY_DAYS:
            last = later
        return [self._days[first + timedelta(days=n)] for n in range((last - first).days + 1)]


def _lost(days: Sequence[_Day]) -> set[date]:
    """The days, given in order, that are part of a stretch or of a row that lacks too much."""
    return _stretches(days) | _rows(days)


def _rows(days: Sequence[_Day]) -> set[date]:
    """The days of rows. Large days between small ones that are lost would hide these in any stretch."""
    found: set[date] = set()
    row: list[_Day] = []
    apart = 0
    for one in days:
        if one.is_suspect:
            row = [*row, one] if apart < 2 else [one]  # noqa: PLR2004 - the rule itself
            apart = 0
            if sum(noted.lacking for noted in row) >= HELD_BACK_MESSAGES:
                found.update(noted.day for noted in row)
        else:
            apart += one.expected > 0
    return found


def _stretches(days: Sequence[_Day]) -> set[date]:
    """The days, given in order, that lie in any stretch of them which lacks too much.

    With running sums, a stretch lacks too much where its end has at least HELD_BACK_MESSAGES more than its beginning
    of `lacking`, and no less of `excess`, what is lacking beyond the share.
    """
    lacking, excess, lowest = [0], [0.0], [0.0]
    for one in days:
        lacking.append(lacking[-1] + one.lacking)
        excess.append(excess[-1] + one.lacking - HELD_BACK_SHARE * one.expected)
        lowest.append(min(lowest[-1], excess[-1]))
    found: set[date] = set()
    covered_from = len(days)
    for end in range(len(days), 0, -1):
        latest = bisect_right(lacking, lacking[end] - HELD_BACK_MESSAGES) - 1
        begin = bisect_left(lowest, -excess[end], key=lambda low: -low)
        if begin <= latest:
            covered_from = min(covered_from, begin)
        if end > covered_from:
            found.add(days[end - 1].day)
    return found
