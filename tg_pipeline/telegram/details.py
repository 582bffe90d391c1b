"""What is asked of a chat besides its messages: before it is registered, and when its past is not there any more."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from telethon.tl import types as tl
from telethon.tl.functions.channels import GetFullChannelRequest
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.days import day_of
from tg_pipeline.contracts.history import Visible
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.resolver import Resolver, input_peer


@dataclass(frozen=True, slots=True)
class ChatDetails:
    """`first_day` is the UTC day of the oldest message the account can see; None where there is none.

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
    """Resolve and look: three calls at most. Raises ChatNotFound, ChatPrivate, InputError."""
    peer = await resolver.resolve(name)
    oldest = await _oldest(connection, peer)
    first_day = None if oldest.begins is None else day_of(oldest.begins)
    if peer.kind != "channel":
        return ChatDetails(peer, first_day, visible=oldest)
    answer = await _full_channel(connection, peer)
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
    still there may be cleared or deleted, and nothing tells which.
    """
    if peer.kind != "channel":
        return await _oldest(connection, peer)
    hidden = (await _full_channel(connection, peer)).full_chat.available_min_id
    return Visible(hidden + 1, (await _oldest(connection, peer)).begins) if hidden else Visible(1, 0)


async def _full_channel(connection: Connection, peer: Peer) -> Any:
    return await connection.call(GetFullChannelRequest(tl.InputChannel(peer.id, peer.access_hash)))


async def _oldest(connection: Connection, peer: Peer) -> Visible:
    answer = await connection.call(
        GetHistoryRequest(
            input_peer(peer), offset_id=1, offset_date=None, add_offset=-1, limit=1, max_id=0, min_id=0, hash=0
        )
    )
    found = [message for message in answer.messages if not isinstance(message, tl.MessageEmpty)]
    return Visible(found[0].id, int(found[0].date.timestamp())) if found else Visible(None, None)
