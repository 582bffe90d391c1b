from datetime import date
from math import inf

import pytest
from telethon import utils
from telethon.extensions import BinaryReader
from telethon.tl import types as tl

from tg_pipeline.simulator.world import Chat, TypeMessage
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.group import GroupContent
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def forum() -> Chat:
    chat = build_world(3, NOW).by_username("demo_busy")
    assert chat is not None
    return chat


@pytest.fixture(scope="module")
def talk(forum: Chat) -> list[TypeMessage]:
    return list(forum.messages(0, 12_000, NOW))


@pytest.fixture(scope="module")
def group() -> Chat:
    return synthetic_chat("threads", per_day=2_000, last_day=date(2024, 1, 1), content=GroupContent)


def test_every_message_survives_the_wire(talk: list[TypeMessage]) -> None:
    for message in talk[::3]:
        assert bytes(BinaryReader(bytes(message)).tgread_object()) == bytes(message)


def test_a_busy_group_shows_every_odd_kind(talk: list[TypeMessage]) -> None:
    actions = {type(message.action) for message in talk if isinstance(message, tl.MessageService)}
    texts = [message for message in talk if isinstance(message, tl.Message)]
    media = {type(message.media) for message in texts}
    assert actions >= {
        tl.MessageActionChannelCreate,
        tl.MessageActionTopicCreate,
        tl.MessageActionPinMessage,
        tl.MessageActionChatAddUser,
        tl.MessageActionChatEditTitle,
        tl.MessageActionChatEditPhoto,
        tl.MessageActionGroupCall,
        tl.MessageActionBoostApply,
        tl.MessageActionSetMessagesTTL,
    }
    assert media >= {
        tl.MessageMediaUnsupported,
        tl.MessageMediaPhoto,
        tl.MessageMediaDocument,
        tl.MessageMediaPoll,
        tl.MessageMediaGeo,
        tl.MessageMediaVenue,
        tl.MessageMediaContact,
        tl.MessageMediaDice,
        tl.MessageMediaWebPage,
        tl.MessageMediaStory,
    }
    assert any(len(message.message) == 4_096 for message in texts)
    for field in ("via_bot_id", "ttl_period", "noforwards", "restriction_reason", "fwd_from", "reactions", "edit_hide"):
        assert any(getattr(message, field) for message in texts), field
    assert 0.01 < sum(message.from_id is None for message in texts) / len(texts) < 0.05
    assert any(not message.message and message.media for message in texts)


def test_edits_follow_their_message_within_twenty_seconds(talk: list[TypeMessage]) -> None:
    delays = [
        (message.edit_date - message.date).total_seconds()
        for message in talk
        if isinstance(message, tl.Message) and message.edit_date and not message.edit_hide
    ]
    assert delays
    assert all(1 <= delay <= 20 for delay in delays)


def test_a_topic_holds_exactly_the_messages_that_name_it(forum: Chat, talk: list[TypeMessage]) -> None:
    for topic in forum.topics():
        named = [
            rank
            for rank, message in enumerate(talk)
            if message.reply_to
            and message.reply_to.forum_topic
            and topic.id in (message.reply_to.reply_to_top_id, message.reply_to.reply_to_msg_id)
        ]
        replies = forum.replies(topic.id, NOW)
        assert replies[: len(named)] == named
        assert len(replies) > len(named) > 1_000
    assert list(forum.replies(talk[100].id, NOW)) == []


def test_topics_are_named_by_the_message_that_created_them(forum: Chat, talk: list[TypeMessage]) -> None:
    created = {message.id: message.action.title for message in talk[:8] if hasattr(message.action, "icon_color")}
    assert {topic.id: topic.title for topic in forum.topics()} == created


def test_replies_point_back_at_messages_that_exist(group: Chat) -> None:
    messages = group.messages(0, 2_000, inf)
    ids = {message.id for message in messages}
    replies = [message for message in messages if message.reply_to]
    assert len(replies) > 800
    assert all(message.reply_to.reply_to_msg_id in ids for message in replies)
    assert all(message.reply_to.reply_to_msg_id < message.id for message in replies)


def test_a_thread_holds_exactly_the_messages_that_name_its_root(group: Chat) -> None:
    messages = group.messages(0, 400, inf)
    for root in messages:
        named = [
            rank
            for rank, message in enumerate(messages)
            if message.reply_to and root.id == (message.reply_to.reply_to_top_id or message.reply_to.reply_to_msg_id)
        ]
        assert list(group.replies(root.id, inf)) == named


def test_the_bytes_of_a_file_are_as_many_as_its_message_says(group: Chat) -> None:
    messages = group.messages(0, 2_000, inf)
    photos = [message.media.photo for message in messages if isinstance(message.media, tl.MessageMediaPhoto)]
    documents = [message.media.document for message in messages if isinstance(message.media, tl.MessageMediaDocument)]
    pictures = [
        message.action.photo for message in messages if isinstance(message.action, tl.MessageActionChatEditPhoto)
    ]
    sizes = {held.id: held.sizes[0].size for held in (*photos, *pictures) if held} | {
        held.id: held.size for held in documents
    }
    assert len(sizes) > 100
    assert pictures
    assert all(len(group.file(file_id) or b"") == size for file_id, size in sizes.items())
    assert group.file(min(sizes) ^ 1 << 40) is None
    text_rank = next(rank for rank, message in enumerate(messages) if rank and not message.media and not message.action)
    assert group.file(min(sizes) >> 32 << 32 | text_rank) is None


def test_everyone_a_message_names_can_be_looked_up(forum: Chat, talk: list[TypeMessage]) -> None:
    people = forum.people(talk)
    known = [utils.get_peer_id(person) for person in people]
    origins = [message.fwd_from.from_id for message in talk if message.fwd_from]
    senders = [message.from_id for message in talk]
    bots = [message.via_bot_id for message in talk if message.via_bot_id]
    added = [user_id for message in talk for user_id in getattr(message.action, "users", ())]
    wanted = {utils.get_peer_id(peer) for peer in (*origins, *senders) if peer} | {*bots, *added}
    assert len(known) == len(set(known))
    assert wanted <= set(known)
    assert {type(person) for person in people} == {tl.User, tl.Channel}
    assert any(getattr(person, "bot", None) for person in people)
    assert any(getattr(person, "deleted", None) for person in people)
