from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telethon.tl import types as tl

from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.group import GroupContent
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

DAY = date(2024, 3, 1)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC).timestamp()


class Clock:
    """A clock that the test turns."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Kept:
    """A message as the naive model keeps it."""

    id: int
    date: float
    text: str


def chat_of(size: int, clock: Clock) -> Overlay:
    """A chat of one day with `size` messages."""
    chat = synthetic_chat("changing", per_day=size, first_day=DAY, last_day=DAY)
    return Overlay(chat.base, clock)


def seen(chat: Overlay, now: float) -> list[Kept]:
    """What the chat shows."""
    messages = chat.messages(0, 10**6, now)
    return [Kept(message.id, message.date.timestamp(), message.message) for message in messages]


adds = st.tuples(st.just("add"), st.integers(0, 40_000))
edits = st.tuples(st.just("edit"), st.integers(0, 30))
deletions = st.tuples(st.just("delete"), st.lists(st.integers(0, 30), max_size=6))


@given(st.integers(0, 20), st.lists(st.one_of(adds, edits, deletions), max_size=25))
def test_an_overlay_equals_a_list_that_is_changed_in_place(
    size: int, changes: list[tuple[str, int | list[int]]]
) -> None:
    clock = Clock(MIDNIGHT + 86_400)
    chat = chat_of(size, clock)
    model = seen(chat, clock.now)
    given_out = [kept.id for kept in model]
    for kind, argument in changes:
        clock.now += 60
        if kind == "add" and isinstance(argument, int):
            future = clock.now + argument if argument % 3 == 0 else None
            if future is not None:
                future = max([future, *(kept.date for kept in model[-1:])])
            new_id = chat.add("new 🙂", date=future)
            assert new_id == max(given_out, default=0) + 1
            given_out.append(new_id)
            shown = seen(chat, inf)[-1]
            assert (shown.id, shown.text) == (new_id, "new 🙂")
            model.append(shown)
        elif kind == "edit" and isinstance(argument, int):
            existing = [kept for kept in model if kept.date <= clock.now]
            if argument < len(existing):
                chat.edit(model[argument].id, f"edited {argument}")
                model[argument] = replace(model[argument], text=f"edited {argument}")
        elif isinstance(argument, list):
            gone = {model[n].id for n in argument if n < len(model) and model[n].date <= clock.now}
            assert chat.delete([*gone, 10**9]) == len(gone)
            model = [kept for kept in model if kept.id not in gone]
        check(chat, model, clock.now)
    check(chat, model, inf)


def check(chat: Overlay, model: list[Kept], now: float) -> None:
    """Every question of the protocol gets the answer that the plain list gives."""
    existing = [kept for kept in model if kept.date <= now]
    assert chat.size(now) == len(existing)
    assert seen(chat, now) == existing
    for rank, kept in enumerate(existing):
        assert chat.rank_of_id(kept.id, now) == rank
        assert chat.rank_of_id(kept.id + 1, now) == rank + 1
        assert chat.rank_of_date(kept.date, now) == sum(other.date < kept.date for other in existing)
    assert chat.rank_of_id(10**9, now) == len(existing)
    assert [kept.id for kept in seen(chat, now)[2:5]] == [message.id for message in chat.messages(2, 5, now)]


def test_a_deleted_message_frees_no_id() -> None:
    chat = chat_of(3, Clock(MIDNIGHT + 86_399))
    newest = chat.messages(2, 3, inf)[0].id
    chat.delete([newest])
    assert chat.add("next") == newest + 1


def test_edits_and_deletions_raise_the_revision_and_additions_do_not() -> None:
    chat = chat_of(3, Clock(MIDNIGHT + 86_399))
    first, second, _ = (message.id for message in chat.messages(0, 3, inf))
    chat.add("more")
    assert chat.revision == 0
    chat.edit(first, "other")
    assert chat.revision == 1
    chat.delete([second])
    assert chat.revision == 2
    chat.delete([second])
    assert chat.revision == 2


def test_an_edit_sets_the_edit_date_and_leaves_the_base_alone() -> None:
    clock = Clock(MIDNIGHT + 86_399)
    chat = chat_of(3, clock)
    before = bytes(chat.base.messages(0, 1, inf)[0])
    chat.edit(chat.messages(0, 1, inf)[0].id, "other")
    edited = chat.messages(0, 1, inf)[0]
    assert (edited.message, edited.edit_date.timestamp(), edited.entities) == ("other", clock.now, [])
    assert bytes(chat.base.messages(0, 1, inf)[0]) == before


def test_the_base_stops_growing_when_a_message_is_added() -> None:
    clock = Clock(MIDNIGHT + 40_000)
    chat = chat_of(500, clock)
    before = chat.size(clock.now)
    assert chat.size(inf) == 500
    chat.add("stop")
    assert chat.size(inf) == before + 1


def test_a_message_may_be_dated_before_older_ones_and_then_does_not_move_what_a_date_leads_to() -> None:
    clock = Clock(MIDNIGHT + 86_399)
    chat = chat_of(3, clock)
    early, late = chat.add("early", date=MIDNIGHT - 1), chat.add("late")
    assert [m.id for m in chat.messages(3, 5, clock.now)] == [early, late]
    assert chat.rank_of_date(MIDNIGHT - 1, clock.now) == chat.rank_of_date(MIDNIGHT, clock.now) == 0
    assert chat.rank_of_date(clock.now, clock.now) == 4


def test_a_basic_group_that_becomes_a_supergroup_says_so_last() -> None:
    world = build_world(0, MIDNIGHT)
    groups = (chat for chat in world.chats.values() if isinstance(chat.entity, tl.Chat))
    group = next(chat for chat in groups if not chat.entity.deactivated)
    chat = Overlay(group, Clock(MIDNIGHT + 86_399))
    chat.migrate(tl.Channel(id=7, title="Team", photo=tl.ChatPhotoEmpty(), date=None, access_hash=8))
    now = inf
    last = chat.messages(chat.size(now) - 1, chat.size(now), now)[0]
    assert (last.action.channel_id, chat.entity.migrated_to.channel_id, chat.entity.deactivated) == (7, 7, True)
    assert not group.entity.deactivated
    with pytest.raises(ValueError, match="only a basic group"):
        chat_of(3, Clock(MIDNIGHT)).migrate(chat.entity)


def test_only_texts_that_exist_can_be_edited_or_replied_to() -> None:
    clock = Clock(MIDNIGHT + 86_399)
    chat = Overlay(synthetic_chat("talk", per_day=9, first_day=DAY, last_day=DAY, content=GroupContent).base, clock)
    service = chat.messages(0, 1, inf)[0].id
    with pytest.raises(ValueError, match="is a service message"):
        chat.edit(service, "x")
    for change in (partial(chat.edit, 999, "x"), partial(chat.add, "x", reply_to=999)):
        with pytest.raises(ValueError, match="there is no message 999"):
            change()


def test_an_empty_chat_begins_with_id_one() -> None:
    chat = chat_of(0, Clock(MIDNIGHT))
    assert (chat.add("first"), chat.add("second")) == (1, 2)
    assert [message.message for message in chat.messages(0, 9, MIDNIGHT)] == ["first", "second"]


def test_renaming_changes_name_and_entity_and_full_form() -> None:
    chat = chat_of(1, Clock(MIDNIGHT))
    chat.rename("fresh_name")
    assert (chat.username, chat.entity.username) == ("fresh_name", "fresh_name")
    assert [entity.username for entity in chat.full(inf).chats] == ["fresh_name"]
    chat.rename(None)
    assert chat.username is None
    assert chat.base.username == "changing"


def test_a_basic_group_cannot_be_named() -> None:
    world = build_world(1, MIDNIGHT)
    group = next(chat for chat in world.chats.values() if isinstance(chat.entity, tl.Chat))
    assert isinstance(group, Overlay)
    with pytest.raises(ValueError, match="no username"):
        group.rename("named")


def test_a_reply_joins_the_thread_or_topic_of_its_target() -> None:
    world = build_world(1, MIDNIGHT, Clock(MIDNIGHT))
    forum, plain = world.by_username("demo_busy"), world.by_username("demo_quiet")
    assert isinstance(forum, Overlay)
    assert isinstance(plain, Overlay)
    topic = forum.topics()[0]
    thread = forum.replies(topic.id, MIDNIGHT)
    first = forum.add("in the topic", reply_to=topic.id)
    second = forum.add("answer", reply_to=first)
    forum.delete([forum.messages(thread[0], thread[0] + 1, MIDNIGHT)[0].id])
    ranks = forum.replies(topic.id, MIDNIGHT)
    assert len(ranks) == len(thread) + 1
    assert [forum.messages(rank, rank + 1, MIDNIGHT)[0].id for rank in ranks[-2:]] == [first, second]
    assert forum.messages(ranks[-1], ranks[-1] + 1, MIDNIGHT)[0].reply_to.forum_topic

    root = plain.add("question")
    answer = plain.add("answer", reply_to=root)
    nested = plain.add("thanks", reply_to=answer)
    messages = plain.messages(plain.size(MIDNIGHT) - 2, plain.size(MIDNIGHT), MIDNIGHT)
    assert [message.reply_to.reply_to_top_id for message in messages] == [None, root]
    assert [plain.messages(rank, rank + 1, MIDNIGHT)[0].id for rank in plain.replies(root, MIDNIGHT)] == [
        answer,
        nested,
    ]


def test_what_is_added_to_a_channel_is_a_post() -> None:
    channel = build_world(1, MIDNIGHT, Clock(MIDNIGHT)).by_username("demo_channel")
    assert isinstance(channel, Overlay)
    channel.add("news")
    assert channel.messages(channel.size(MIDNIGHT) - 1, channel.size(MIDNIGHT), MIDNIGHT)[0].post


def test_the_rest_is_answered_by_the_base() -> None:
    chat = chat_of(3, Clock(MIDNIGHT))
    messages = chat.messages(0, 3, inf)
    assert chat.people(messages) == chat.base.people(messages)
    assert chat.peer == chat.base.peer
    assert list(chat.replies(messages[0].id, inf)) == []
