"""A day read in parts: intervals of it that were spooled side by side, seen as one."""

import heapq
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import chain, pairwise

from tg_pipeline.contracts.day_lines import DayIndex, message_id
from tg_pipeline.storage.spool import DaySpool


class DayParts:
    """What a commit needs of a day's spools. They have no message in common; there may be none."""

    def __init__(self, spools: Sequence[DaySpool]) -> None:
        self._spools = sorted((s for s in spools if s.message_count), key=lambda s: s.first_id or 0)
        self.message_count = sum(spool.message_count for spool in self._spools)
        self.first_id = min((s.first_id for s in self._spools if s.first_id is not None), default=None)
        self.last_id = max((s.last_id for s in self._spools if s.last_id is not None), default=None)
        self.unreadable = set[int]().union(*(spool.unreadable for spool in self._spools))
        self._in_order = all((a.last_id or 0) < (b.first_id or 0) for a, b in pairwise(self._spools))
        self.index = reduce(DayIndex.joined, (spool.index for spool in self._spools), DayIndex())

    def lines(self) -> Iterator[bytes]:
        """The messages, ascending by id, in bounded memory."""
        parts = [spool.lines() for spool in self._spools]
        return chain.from_iterable(parts) if self._in_order else heapq.merge(*parts, key=message_id)

    def chunks(self) -> Iterator[bytes]:
        """As `DaySpool.chunks`."""
        return chain.from_iterable(spool.chunks() for spool in self._spools) if self._in_order else self.lines()

    def participants(self) -> dict[int, bytes]:
        """The lines of those who wrote on this day and were described, by id."""
        return {number: line for spool in self._spools for number, line in spool.participants().items()}
