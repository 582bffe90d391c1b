from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import inf

import pytest
from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.simulator.world import Chat, World
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.overlay import Overlay

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC).timestamp()
DAY_SECONDS = 86_400


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(7, NOW, lambda: NOW)


def named(world: World, username: str) -> Chat:
    chat = world.by_username(username)
    assert chat is not None
    return chat


def count(chat: Chat, day: date) -> int:
    """Messages of one UTC day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    return chat.rank_of_date(midnight + DAY_SECONDS, inf) - chat.rank_of_date(midnight, inf)


def test_usernames_are_stable(world: World) -> None:
    usernames = [chat.username for chat in world.chats.values() if chat.username]
    assert usernames == [
        "demo_busy",
        "demo_channel",
        "demo_channel_chat",
        "demo_quiet",
        "demo_empty",
        "demo_moved",
        "demo_burst",
        "demo_friend",
    ]
    assert [type(chat.entity) for chat in world.chats.values() if not chat.username] == [tl.Chat, tl.Chat]


def test_chats_are_held_by_marked_id_and_can_change(world: World) -> None:
    for marked_id, chat in world.chats.items():
        assert marked_id == utils.get_peer_id(chat.peer) == utils.get_peer_id(chat.entity)
        assert isinstance(chat, Overlay)


def test_the_same_seed_gives_the_same_history_whenever_it_starts(world: World) -> None:
    later = build_world(7, NOW + 40 * DAY_SECONDS)
    for marked_id, chat in world.chats.items():
        size = chat.size(NOW)
        other = later.chats[marked_id]
        assert other.size(NOW) == size
        assert other.size(NOW + 40 * DAY_SECONDS) >= size
        start = max(0, size - 50)
        ours, theirs = (history.messages(start, size, NOW) for history in (chat, other))
        assert [bytes(message) for message in ours] == [bytes(message) for message in theirs]


def test_another_seed_gives_another_history(world: World) -> None:
    ours, theirs = (named(built, "demo_busy").messages(100, 200, NOW) for built in (world, build_world(8, NOW)))
    assert [message.id for message in ours] != [message.id for message in theirs]


def test_the_last_week_has_a_demos_volume(world: World) -> None:
    today = datetime.fromtimestamp(NOW, UTC).date()
    week = [today - timedelta(days=n) for n in range(1, 8)]
    busy, channel, burst = (
        [count(named(world, name), day) for day in week] for name in ("demo_busy", "demo_channel", "demo_burst")
    )
    assert all(1_000 <= number <= 1_500 for number in busy)
    assert all(30 <= number <= 50 for number in channel)
    assert max(burst) <= 5
    assert len(set(burst)) > 1


def test_a_quiet_chat_has_days_with_none_and_days_with_one(world: World) -> None:
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(364)]
    counts = [count(named(world, "demo_quiet"), day) for day in days]
    assert {0, 1, 2} == set(counts)
    assert 2 <= sum(counts) / 52 <= 7


def test_an_empty_chat_stays_empty(world: World) -> None:
    empty = named(world, "demo_empty")
    assert (empty.size(inf), list(empty.messages(0, 9, inf)), empty.rank_of_id(5, inf)) == (0, [], 0)


def test_the_burst_has_fifty_thousand_messages_between_the_days_edges(world: World) -> None:
    burst = named(world, "demo_burst")
    days = [count(burst, date(2024, 2, 28) + timedelta(days=n)) for n in range(3)]
    assert days == [1, 50_000, 0]
    start = burst.rank_of_date(datetime(2024, 2, 29, tzinfo=UTC).timestamp(), NOW)
    first, last = (burst.messages(rank, rank + 1, NOW)[0].date for rank in (start, start + 49_999))
    assert (first, last) == (datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))


def test_a_moved_group_keeps_its_older_history_under_its_old_peer(world: World) -> None:
    new = named(world, "demo_moved")
    full = new.full(NOW).full_chat
    old = world.chats[-full.migrated_from_chat_id]
    farewell = old.messages(old.size(NOW) - 1, old.size(NOW), NOW)[0]
    welcome = new.messages(0, 1, NOW)[0]
    assert farewell.id == full.migrated_from_max_id
    assert farewell.action.channel_id == new.entity.id
    assert (welcome.action.chat_id, welcome.action.title) == (old.entity.id, old.entity.title)
    assert farewell.date < welcome.date
    assert old.entity.deactivated
    assert old.entity.migrated_to.channel_id == new.entity.id
    old_ids, new_ids = ({message.id for message in chat.messages(0, 300, NOW)} for chat in (old, new))
    assert old_ids & new_ids


def test_basic_groups_and_private_chats_share_one_sequence_of_ids(world: World) -> None:
    sharing = [chat for chat in world.chats.values() if not isinstance(chat.peer, tl.PeerChannel)]
    ids = [message.id for chat in sharing for message in chat.messages(0, 700, NOW)]
    assert len(sharing) == 3
    assert len(ids) == len(set(ids))


def test_a_private_chat_tells_ones_own_messages_by_out_alone(world: World) -> None:
    messages = named(world, "demo_friend").messages(0, 500, NOW)
    assert {message.out for message in messages} == {True, False}
    assert all(message.from_id is None and isinstance(message.peer_id, tl.PeerUser) for message in messages)
    with pytest.raises(TypeError, match="full chat"):
        named(world, "demo_friend").full(NOW)


def test_a_basic_group_lists_its_members(world: World) -> None:
    group = next(
        chat for chat in world.chats.values() if isinstance(chat.entity, tl.Chat) and not chat.entity.deactivated
    )
    full = group.full(NOW)
    members = [member.user_id for member in full.full_chat.participants.participants]
    senders = {message.from_id.user_id for message in group.messages(0, 500, NOW)}
    assert world.self_user.id in senders <= set(members) == {user.id for user in full.users}


def test_the_account_is_itself_wherever_it_is_named(world: World) -> None:
    group = next(chat for chat in world.chats.values() if isinstance(chat.entity, tl.Chat))
    people = group.people(group.messages(0, 200, NOW))
    assert world.self_user in people
    assert sum(person.id == world.self_user.id for person in people) == 1


def test_entities_and_full_forms_survive_the_wire(world: World) -> None:
    for chat in world.chats.values():
        assert bytes(chat.entity)
        if not isinstance(chat.entity, tl.User):
            assert bytes(chat.full(NOW))
    assert bytes(world.self_user)


def test_all_chats_ascend_in_id_and_date(world: World) -> None:
    for chat in world.chats.values():
        messages = chat.messages(0, 700, NOW)
        assert all(one.id < other.id and one.date <= other.date for one, other in pairwise(messages))


def test_a_world_can_start_before_its_history() -> None:
    world = build_world(7, 0.0)
    assert all(chat.size(0.0) == 0 for chat in world.chats.values())
