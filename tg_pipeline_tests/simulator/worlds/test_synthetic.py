import tracemalloc
from datetime import UTC, date, datetime
from itertools import pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.simulator.worlds.group import GroupContent
from tg_pipeline.simulator.worlds.ids import NO_GAPS, Gaps
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

DAY = date(2024, 3, 1)


@given(st.permutations(range(40)))
def test_messages_do_not_depend_on_the_order_of_reading(order: list[int]) -> None:
    whole = synthetic_chat("any", seed=5, per_day=20, content=GroupContent).messages(0, 40, inf)
    chat = synthetic_chat("any", seed=5, per_day=20, content=GroupContent)
    one_by_one = {rank: chat.messages(rank, rank + 1, inf)[0] for rank in order}
    assert [bytes(one_by_one[rank]) for rank in range(40)] == [bytes(message) for message in whole]


def test_another_seed_or_name_is_another_chat() -> None:
    texts = {
        tuple(message.message for message in synthetic_chat(name, seed=seed).messages(0, 20, inf))
        for name, seed in (("one", 1), ("one", 2), ("two", 1))
    }
    assert len(texts) == 3


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_ranks_of_ids_and_dates_agree_with_the_messages(start: int, part: float) -> None:
    chat = synthetic_chat("million", per_day=1_000_000, first_day=DAY, last_day=DAY)
    midnight = datetime(2024, 3, 1, tzinfo=UTC).timestamp()
    now = midnight + 86_400 * part
    size = chat.size(now)
    for rank, message in enumerate(chat.messages(start, start + 3, now), start):
        assert message.date.timestamp() <= now
        assert chat.rank_of_id(message.id, now) == rank
        assert chat.rank_of_date(message.date.timestamp(), now) <= rank < size
    assert chat.rank_of_id(2**31, now) == chat.rank_of_date(now + 1, now) == size


def test_ten_million_messages_cost_nothing_to_make_and_little_to_read() -> None:
    tracemalloc.start()
    try:
        chat = synthetic_chat("huge", per_day=10_000, first_day=date(2021, 1, 1), last_day=date(2023, 9, 27))
        size = chat.size(inf)
        last = chat.messages(size - 100, size, inf)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 10_000_000
    assert len(last) == 100
    assert peak < 2_000_000


def test_more_messages_appear_as_time_passes() -> None:
    chat = synthetic_chat("growing", per_day=1_000, first_day=DAY, last_day=DAY)
    noon = datetime(2024, 3, 1, 12, tzinfo=UTC).timestamp()
    earlier, later = chat.size(noon), chat.size(noon + 3_600)
    assert 0 < earlier < later < 1_000
    assert chat.messages(0, 2_000, noon)[-1].id < chat.messages(0, 2_000, noon + 3_600)[-1].id
    assert chat.messages(earlier - 1, earlier + 1, noon)[-1].date.timestamp() <= noon


def test_days_are_filled_from_a_number_a_mapping_or_a_function() -> None:
    last = date(2024, 3, 3)
    by_mapping = synthetic_chat("m", per_day={DAY: 3, last: 2}, first_day=DAY, last_day=last)
    by_function = synthetic_chat("f", per_day=lambda day: day.day, first_day=DAY, last_day=last)
    by_number = synthetic_chat("n", per_day=4, first_day=DAY, last_day=last)
    days = [
        [message.date.day for message in chat.messages(0, 99, inf)] for chat in (by_mapping, by_function, by_number)
    ]
    assert days == [[1, 1, 1, 3, 3], [1, 2, 2, 3, 3, 3], [1] * 4 + [2] * 4 + [3] * 4]


def test_gaps_are_as_asked() -> None:
    dense = synthetic_chat("dense", gaps=NO_GAPS).messages(0, 500, inf)
    gappy = synthetic_chat("gappy", gaps=Gaps(9, 1)).messages(0, 500, inf)
    assert [message.id for message in dense] == list(range(1, 501))
    steps = [after.id - before.id for before, after in pairwise(gappy)]
    assert set(steps) == {1, 2}
    assert 40 <= steps.count(2) <= 56


def test_a_plain_chat_answers_everything_a_chat_is_asked() -> None:
    chat = synthetic_chat("Plain", per_day=5)
    messages = chat.messages(0, 10, inf)
    assert {person.id for person in chat.people(messages)} >= {message.from_id.user_id for message in messages}
    assert chat.full(inf).full_chat.read_inbox_max_id == chat.messages(0, 10**6, inf)[-1].id
    assert chat.full(0).full_chat.read_inbox_max_id == 0
    assert (chat.username, list(chat.topics()), list(chat.replies(messages[0].id, inf)), chat.file(7)) == (
        "Plain",
        [],
        [],
        None,
    )
    assert list(chat.replies(2**31 - 1, inf)) == []
    assert chat.revision == chat.base.revision == 0
