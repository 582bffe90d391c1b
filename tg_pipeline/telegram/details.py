"""What is asked of a chat besides its messages: before it is registered, and when its past is not there any more."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from telethon.tl import types as tl
from telethon.tl.functions.channels import GetFullChannelRequest
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.days import day_of
from tg_pipeline.contracts.errors import Undecodable
from tg_pipeline.contracts.history import Visible, begins_of
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.isolation import Isolation
from tg_pipeline.telegram.offsets import Offset
from tg_pipeline.telegram.peers import input_peer
from tg_pipeline.telegram.resolver import Resolver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatDetails:
    """`first_day` is the earliest UTC day of the oldest messages that the account can see; None where there is none.

    `migrated_from` is the marked id of the basic group that this supergroup once was. Its older history stays under
    that id, with message ids that collide with the supergroup's, so it is a chat of its own here.
    `linked` is the marked id of a channel's discussion group, or of a group's channel.
    """

    peer: Peer
    first_day: date | None
    migrated_from: int | None = None
    linked: int | None = None
    visible: Visible = field(default_factory=lambda: Visible(1, 0))


async def chat_details(connection: Connection, resolver: Resolver, name: str) -> ChatDetails:
    """Resolve and look: three calls, or more around what cannot be decoded. Raises as `Resolver.resolve`."""
    peer = await resolver.resolve(name)
    found = await _oldest(connection, peer)
    first_day, oldest = day_of(min(at for _, at in found)) if found else None, _seen(found)
    if peer.kind != "channel":
        return ChatDetails(peer, first_day, visible=oldest)
    answer = await _full_channel(connection, peer)
    if answer is None:
        return ChatDetails(peer, first_day, visible=oldest)
    resolver.learn([*answer.chats, *answer.users])
    full = answer.full_chat
    return ChatDetails(
        peer,
        first_day,
        visible=Visible(full.available_min_id + 1, oldest.begins) if full.available_min_id else Visible(1, 0),
        migrated_from=-full.migrated_from_chat_id if full.migrated_from_chat_id else None,
        linked=Peer("channel", full.linked_chat_id, 0).marked_id if full.linked_chat_id else None,
    )


async def visible(connection: Connection, peer: Peer) -> Visible:
    """What the account may see of the chat's past: one call, and a second where a channel says that some is hidden.

    `available_min_id` of a channel is the highest id that is hidden from the account: the history before it joined, or
    what it has cleared. Private dialogs and basic groups have no such field; what precedes the oldest message that is
    still there may be cleared or deleted, and nothing says which.
    """
    if peer.kind != "channel":
        return _seen(await _oldest(connection, peer))
    answer = await _full_channel(connection, peer)
    if answer is None:
        return _seen(await _oldest(connection, peer))
    hidden = answer.full_chat.available_min_id
    return Visible(hidden + 1, _seen(await _oldest(connection, peer)).begins) if hidden else Visible(1, 0)


async def _full_channel(connection: Connection, peer: Peer) -> Any | None:
    """None where the answer cannot be decoded: a chat can be read without it."""
    try:
        return await connection.call(GetFullChannelRequest(tl.InputChannel(peer.id, peer.access_hash)))
    except Undecodable as error:
        log.warning("%s: what precedes it, what is linked and what is hidden is not known: %s", peer.marked_id, error)
        return None


def _seen(oldest: Sequence[tuple[int, int]]) -> Visible:
    """From the oldest messages that can be seen, by id and time."""
    return Visible(oldest[0][0], int(begins_of([at for _, at in oldest]))) if oldest else Visible(None, None)


async def _oldest(connection: Connection, peer: Peer) -> list[tuple[int, int]]:
    async def ask(offset: Offset) -> Any:
        return await connection.call(GetHistoryRequest(input_peer(peer), **offset.fields()))

    return await Isolation(ask).oldest()
