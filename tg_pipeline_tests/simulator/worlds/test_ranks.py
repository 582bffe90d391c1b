import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.simulator.worlds.ranks import JoinedRanks, PeriodicRanks, RemainingRanks, Removals

sets = st.sets(st.integers(0, 40))


@given(st.sets(st.integers(0, 9), min_size=1), st.integers(0, 60))
def test_periodic_ranks_are_those_of_the_residues(residues: set[int], size: int) -> None:
    ranks = PeriodicRanks(10, sorted(residues), size)
    assert list(ranks) == [rank for rank in range(size) if rank % 10 in residues]


@given(sets)
def test_removals_convert_between_positions(removed: set[int]) -> None:
    removals = Removals()
    for position in removed:
        removals.remove(position)
        removals.remove(position)
    left = [position for position in range(80) if position not in removed]
    assert [removals.original(place) for place in range(len(left))] == left
    assert [removals.left_before(position) for position in left] == list(range(len(left)))
    assert [position in removals for position in range(50)] == [position in removed for position in range(50)]


@given(sets, sets)
def test_remaining_ranks_are_renumbered(ranks: set[int], removed: set[int]) -> None:
    left = [rank for rank in range(50) if rank not in removed]
    expected = [left.index(rank) for rank in sorted(ranks - removed)]
    assert list(RemainingRanks(sorted(ranks), Removals(removed))) == expected


def test_sequences_are_sliced_and_indexed_as_lists_are() -> None:
    ranks = JoinedRanks([1, 2, 3], [7, 8])
    assert list(ranks) == [1, 2, 3, 7, 8]
    assert (ranks[-1], ranks[1:4], ranks[::-2]) == (8, [2, 3, 7], [8, 3, 1])
    with pytest.raises(IndexError):
        ranks[5]
