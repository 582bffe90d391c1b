"""A chat whose beginning is hidden is the chat without its first messages, and a channel says from where on."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.simulator.worlds.hidden import HiddenPast
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

DAY = date(2024, 3, 1)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC).timestamp()
NOW = MIDNIGHT + 2 * 86_400


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 90_000))
def test_it_equals_the_list_of_its_visible_messages(up_to: int, number: int, second: int) -> None:
    base = synthetic_chat("hidden", per_day=40, first_day=DAY, last_day=DAY)
    chat = HiddenPast(base, up_to)
    model = [message for message in base.messages(0, 100, NOW) if message.id > up_to]
    assert [m.id for m in chat.messages(0, 100, NOW)] == [m.id for m in model]
    assert chat.size(NOW) == len(model)
    assert chat.rank_of_id(number, NOW) == sum(m.id < number for m in model)
    moment = MIDNIGHT + second
    assert chat.rank_of_date(moment, NOW) == sum(m.date.timestamp() < moment for m in model)


def test_what_is_hidden_while_the_world_runs_is_a_change() -> None:
    chat = HiddenPast(synthetic_chat("hidden", per_day=40, first_day=DAY, last_day=DAY))
    assert (chat.revision, chat.size(NOW), chat.full(NOW).full_chat.available_min_id) == (0, 40, None)
    chat.hide(10)
    assert (chat.revision, chat.full(NOW).full_chat.available_min_id) == (1, 10)
    assert chat.messages(0, 1, NOW)[0].id == 11
    chat.hide(0)
    assert chat.size(NOW) == 40


@pytest.mark.parametrize("up_to", [0, 20])
def test_it_is_the_same_chat_otherwise(up_to: int) -> None:
    base = synthetic_chat("hidden", per_day=40, first_day=DAY, last_day=DAY)
    chat = HiddenPast(base, up_to)
    assert (chat.peer, chat.username, chat.entity) == (base.peer, base.username, base.entity)
    assert (chat.topics(), chat.file(1), list(chat.replies(30, NOW))) == ((), None, [])
    assert chat.people(chat.messages(0, 3, NOW))
