from datetime import UTC, date, datetime
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.simulator.worlds.timeline import DAY_SECONDS, DailyTimeline, size_at

FIRST = date(2024, 2, 28)
MIDNIGHT = int(datetime(2024, 2, 28, tzinfo=UTC).timestamp())

timelines = st.builds(
    DailyTimeline,
    first_day=st.just(FIRST),
    counts=st.lists(st.integers(0, 12), max_size=6),
    seed=st.integers(0, 2**64 - 1),
    on_edges=st.booleans(),
)


@given(timelines)
def test_dates_ascend(timeline: DailyTimeline) -> None:
    dates = [timeline.date(rank) for rank in range(timeline.total)]
    assert dates == sorted(dates)


@given(st.lists(st.integers(0, 12), max_size=6), st.sampled_from([{}, {"on_edges": True}]))
def test_each_day_has_the_messages_it_was_given(counts: list[int], edges: dict[str, bool]) -> None:
    timeline = DailyTimeline(FIRST, counts, 1, **edges)
    days = [(timeline.date(rank) - MIDNIGHT) // DAY_SECONDS for rank in range(timeline.total)]
    assert [days.count(day) for day in range(len(counts))] == counts


@given(timelines, st.floats(-DAY_SECONDS, 7 * DAY_SECONDS))
def test_the_rank_of_a_date_counts_the_earlier_messages(timeline: DailyTimeline, offset: float) -> None:
    dates = [timeline.date(rank) for rank in range(timeline.total)]
    assert timeline.rank_of_date(MIDNIGHT + offset) == sum(other < MIDNIGHT + offset for other in dates)
    assert size_at(timeline, MIDNIGHT + offset) == sum(other <= MIDNIGHT + offset for other in dates)


@given(timelines)
def test_the_rank_of_a_messages_own_date_is_that_of_the_first_of_its_second(timeline: DailyTimeline) -> None:
    dates = [timeline.date(rank) for rank in range(timeline.total)]
    assert [timeline.rank_of_date(moment) for moment in dates] == [dates.index(moment) for moment in dates]


def test_everything_exists_at_the_end_of_time() -> None:
    assert size_at(DailyTimeline(FIRST, [3, 0, 4], 1), inf) == 7


def test_edges_are_the_first_and_last_second_of_the_day() -> None:
    timeline = DailyTimeline(FIRST, [2, 1, 50], 1, on_edges=True)
    seconds = [(timeline.date(rank) - MIDNIGHT) % DAY_SECONDS for rank in (0, 1, 3, 52)]
    assert seconds == [0, DAY_SECONDS - 1, 0, DAY_SECONDS - 1]
    assert 0 < (timeline.date(2) - MIDNIGHT) % DAY_SECONDS < DAY_SECONDS - 1


def test_a_rank_beyond_the_last_is_dated_after_the_last_day() -> None:
    assert DailyTimeline(FIRST, [1, 1], 1).date(2) == MIDNIGHT + 2 * DAY_SECONDS
