from itertools import count, islice

from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.simulator.worlds.draws import draw
from tg_pipeline.simulator.worlds.ids import Gaps, IdPattern

patterns = st.builds(
    IdPattern,
    seed=st.integers(0, 2**64 - 1),
    gaps=st.builds(Gaps, visible=st.integers(1, 12), missing=st.integers(0, 5)),
    first=st.integers(1, 9),
    stride=st.integers(1, 4),
)


def sequential(pattern: IdPattern, length: int) -> list[int]:
    """The ids made one after another: in each block a run is left out at the drawn place."""
    visible, missing = pattern.gaps
    slots: list[int] = []
    for block in count():
        if len(slots) >= length:
            break
        cut = draw(pattern.seed, block) % (visible + 1)
        run = [place for place in range(visible + missing) if not cut <= place < cut + missing]
        slots += [block * (visible + missing) + place for place in run]
    return [pattern.first + slot * pattern.stride for slot in islice(slots, length)]


@given(patterns)
def test_ids_in_closed_form_equal_those_made_one_after_another(pattern: IdPattern) -> None:
    assert [pattern.id_of(rank) for rank in range(60)] == sequential(pattern, 60)


@given(patterns, st.integers(-5, 400))
def test_the_rank_of_an_id_counts_the_lower_ids(pattern: IdPattern, message_id: int) -> None:
    ids = sequential(pattern, 500)
    assert pattern.rank_of(message_id) == sum(other < message_id for other in ids)


@given(patterns, st.integers(0, 10**9))
def test_rank_and_id_are_inverse_far_out(pattern: IdPattern, rank: int) -> None:
    assert pattern.rank_of(pattern.id_of(rank)) == rank
    assert pattern.rank_of(pattern.id_of(rank) + 1) == rank + 1
