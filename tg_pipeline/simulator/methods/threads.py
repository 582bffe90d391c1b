"""Threads: replies under a message, comments under a channel's post, forum topics."""

import struct
from bisect import bisect_left
from collections.abc import Sequence

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.by_id import message_by_id
from tg_pipeline.simulator.methods.history import PTS, Paged, messages_answer
from tg_pipeline.simulator.methods.peers import chat_of
from tg_pipeline.simulator.methods.registry import Call, handles
from tg_pipeline.simulator.mtproto import vector
from tg_pipeline.simulator.serialiser import PersonKey, Serialised
from tg_pipeline.simulator.world import Chat


@handles(functions.messages.GetRepliesRequest)
def get_replies(call: Call) -> object:
    """A page of the messages under one message, or under the copy of a post in the linked group.

    Refuses with MSG_ID_INVALID where there is no such message, or a post has no comments.
    """
    chat_id, chat = chat_of(call, call.request.peer)
    root_id = call.request.msg_id
    is_topic = any(topic.id == root_id for topic in chat.topics())
    if not is_topic and message_by_id(call, chat_id, chat, root_id) is None:
        raise RpcError(400, "MSG_ID_INVALID")
    chats = [chat]
    if getattr(chat.entity, "broadcast", False):
        found = chat.discussion(root_id)
        if found is None:
            raise RpcError(400, "MSG_ID_INVALID")
        chat_id, root_id = found
        chat = call.world.chats[chat_id]
        chats.append(chat)
    ranks = chat.replies(root_id, call.now)
    thread = Paged(
        len(ranks),
        lambda message_id: bisect_left(ranks, chat.rank_of_id(message_id, call.now)),
        lambda moment: bisect_left(ranks, chat.rank_of_date(moment, call.now)),
    )
    positions = thread.page(call.request, call.server.options.rules)
    page = _at(call, chat_id, chat, [ranks[position] for position in reversed(positions)])
    return messages_answer(call, chats, page, thread.size, in_channel=isinstance(chat.peer, tl.PeerChannel))


def _at(call: Call, chat_id: int, chat: Chat, ranks: Sequence[int]) -> list[Serialised]:
    serialiser = call.server.serialiser
    return [serialiser.ranks(chat_id, chat, rank, rank + 1, call.now)[0] for rank in ranks]


@handles(functions.messages.GetDiscussionMessageRequest)
def get_discussion_message(call: Call) -> object:
    """Where the comments to a post hang: its copy in the linked group. Refuses with MSG_ID_INVALID."""
    _, channel = chat_of(call, call.request.peer)
    found = channel.discussion(call.request.msg_id)
    copy = message_by_id(call, found[0], call.world.chats[found[0]], found[1]) if found else None
    if found is None or copy is None:
        raise RpcError(400, "MSG_ID_INVALID")
    people = call.server.people
    entities = (channel.entity, call.world.chats[found[0]].entity)
    mentioned = [*(people.remember(entity) for entity in entities), *copy.people]
    head = struct.pack("<II", tl.messages.DiscussionMessage.CONSTRUCTOR_ID, 0)
    return b"".join((head, vector([copy.body]), struct.pack("<i", 0), people.vectors(mentioned)))


@handles(functions.messages.GetForumTopicsRequest)
def get_forum_topics(call: Call) -> object:
    """A page of a forum's topics, going on behind topic `offset_topic`; `q` searches in titles."""
    _, chat = chat_of(call, call.request.peer)
    wanted = (call.request.q or "").lower()
    topics = [topic for topic in _topics(chat) if wanted in topic.title.lower()]
    numbers = [topic.id for topic in topics]
    start = numbers.index(call.request.offset_topic) + 1 if call.request.offset_topic in numbers else 0
    return _topics_answer(call, topics[start : start + max(0, call.request.limit)], len(topics))


@handles(functions.messages.GetForumTopicsByIDRequest)
def get_forum_topics_by_id(call: Call) -> object:
    """The topics of these ids, with ForumTopicDeleted in the place of those that are gone."""
    _, chat = chat_of(call, call.request.peer)
    known = {topic.id: topic for topic in _topics(chat)}
    topics = [known.get(topic_id) or tl.ForumTopicDeleted(topic_id) for topic_id in call.request.topics]
    return _topics_answer(call, topics, len(topics))


def _topics(chat: Chat) -> Sequence[tl.ForumTopic]:
    topics = chat.topics()
    if not topics:
        raise RpcError(400, "CHANNEL_FORUM_MISSING")
    return topics


def _topics_answer(call: Call, topics: Sequence[tl.ForumTopic | tl.ForumTopicDeleted], count: int) -> bytes:
    """The topics with their newest messages."""
    chat_id, chat = chat_of(call, call.request.peer)
    newest = (message_by_id(call, chat_id, chat, getattr(topic, "top_message", 0)) for topic in topics)
    messages = [message for message in newest if message]
    mentioned: list[PersonKey] = [call.server.people.remember(chat.entity)]
    for message in messages:
        mentioned.extend(message.people)
    return b"".join(
        (
            struct.pack("<IIi", tl.messages.ForumTopics.CONSTRUCTOR_ID, 0, count),
            vector([bytes(topic) for topic in topics]),
            vector([message.body for message in messages]),
            call.server.people.vectors(mentioned),
            struct.pack("<i", PTS),
        )
    )
