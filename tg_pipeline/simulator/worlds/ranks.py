"""Sequences of ranks that are counted, not stored."""

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import overload


class CountedRanks(Sequence[int]):
    """A sequence that computes its entries."""

    @abstractmethod
    def at(self, index: int) -> int:
        """The entry at `index`, 0 <= index < len."""

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        """One entry, or a list of a slice's."""
        if isinstance(index, slice):
            return [self.at(i) for i in range(*index.indices(len(self)))]
        return self.at(range(len(self))[index])


class PeriodicRanks(CountedRanks):
    """The ranks below `size` whose remainder modulo `period` is one of `residues`, which ascend."""

    def __init__(self, period: int, residues: Sequence[int], size: int) -> None:
        self._period = period
        self._residues = residues
        rounds, rest = divmod(size, period)
        self._length = rounds * len(residues) + bisect_left(residues, rest)

    def __len__(self) -> int:
        return self._length

    def at(self, index: int) -> int:
        """The entry at `index`."""
        rounds, place = divmod(index, len(self._residues))
        return rounds * self._period + self._residues[place]


class Removals:
    """Positions taken out of an array: converts between positions in it and positions in what is left."""

    def __init__(self, positions: Iterable[int] = ()) -> None:
        self.positions = sorted(positions)

    def __contains__(self, position: int) -> bool:
        index = bisect_left(self.positions, position)
        return index < len(self.positions) and self.positions[index] == position

    def remove(self, position: int) -> None:
        """Take a position out; one that is out already stays so."""
        index = bisect_left(self.positions, position)
        if index == len(self.positions) or self.positions[index] != position:
            self.positions.insert(index, position)

    def left_before(self, position: int) -> int:
        """How many positions below `position` are left."""
        return position - bisect_left(self.positions, position)

    def original(self, place: int) -> int:
        """The position of the `place`-th of those left."""
        return place + bisect_right(range(len(self.positions)), place, key=lambda i: self.positions[i] - i)


class RemainingRanks(CountedRanks):
    """The ranks of `ranks` that are not removed, renumbered by `removals`."""

    def __init__(self, ranks: Sequence[int], removals: Removals) -> None:
        places = ((bisect_left(ranks, rank), rank) for rank in removals.positions)
        self._ranks = ranks
        self._removals = removals
        self._gone = Removals(place for place, rank in places if place < len(ranks) and ranks[place] == rank)

    def __len__(self) -> int:
        return self._gone.left_before(len(self._ranks))

    def at(self, index: int) -> int:
        """The entry at `index`."""
        return self._removals.left_before(self._ranks[self._gone.original(index)])


class JoinedRanks(CountedRanks):
    """One sequence after another."""

    def __init__(self, first: Sequence[int], second: Sequence[int]) -> None:
        self._first = first
        self._second = second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def at(self, index: int) -> int:
        """The entry at `index`."""
        return self._first[index] if index < len(self._first) else self._second[index - len(self._first)]
