"""Threads: replies under a message, comments under a channel's post, forum topics."""

import struct
from bisect import bisect_left
from collections.abc import Sequence
from copy import copy

from telethon import utils
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

# A post reaches its discussion group at once: the copy is among the next messages there.
COPY_WITHIN_MESSAGES = 100


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
        chat_id, chat, root_id = _discussion(call, chat, root_id)
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
    group_id, group, copy_id = _discussion(call, channel, call.request.msg_id)
    posted = message_by_id(call, group_id, group, copy_id)
    people = call.server.people
    mentioned = [people.remember(channel.entity), people.remember(group.entity), *(posted.people if posted else ())]
    head = struct.pack("<II", tl.messages.DiscussionMessage.CONSTRUCTOR_ID, 0)
    messages = vector([posted.body] if posted else [])
    return b"".join((head, messages, struct.pack("<i", 0), people.vectors(mentioned)))


def _discussion(call: Call, channel: Chat, post_id: int) -> tuple[int, Chat, int]:
    """The linked group of a channel, with its marked id, and the id of the post's copy in it."""
    linked = getattr(channel.full(call.now).full_chat, "linked_chat_id", None)
    group_id = utils.get_peer_id(tl.PeerChannel(linked)) if linked else 0
    group = call.world.chats.get(group_id)
    rank = channel.rank_of_id(post_id, call.now)
    posts = channel.messages(rank, rank + 1, call.now)
    if group is None or not posts or posts[0].id != post_id:
        raise RpcError(400, "MSG_ID_INVALID")
    start = group.rank_of_date(posts[0].date.timestamp(), call.now)
    stop = min(start + COPY_WITHIN_MESSAGES, group.size(call.now))
    for message in group.messages(start, stop, call.now):
        origin = getattr(message, "fwd_from", None)
        if origin and origin.channel_post == post_id and origin.from_id == channel.peer:
            return group_id, group, message.id
    raise RpcError(400, "MSG_ID_INVALID")


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
    """The topics with their newest messages, of which only the server knows which they are by now."""
    chat_id, chat = chat_of(call, call.request.peer)
    messages: list[Serialised] = []
    current: list[bytes] = []
    for listed in topics:
        topic = copy(listed)
        if isinstance(topic, tl.ForumTopic) and (ranks := chat.replies(topic.id, call.now)):
            newest = _at(call, chat_id, chat, ranks[-1:])[0]
            topic.top_message = newest.message_id
            messages.append(newest)
        current.append(bytes(topic))
    mentioned: list[PersonKey] = [call.server.people.remember(chat.entity)]
    for message in messages:
        mentioned.extend(message.people)
    return b"".join(
        (
            struct.pack("<IIi", tl.messages.ForumTopics.CONSTRUCTOR_ID, 0, count),
            vector(current),
            vector([message.body for message in messages]),
            call.server.people.vectors(mentioned),
            struct.pack("<i", PTS),
        )
    )
