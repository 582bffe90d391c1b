"""What `chats add` wants to know of a chat before it is registered."""

from dataclasses import dataclass
from datetime import date

from telethon.tl import types as tl
from telethon.tl.functions.channels import GetFullChannelRequest
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.days import day_of
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


async def chat_details(connection: Connection, resolver: Resolver, name: str) -> ChatDetails:
    """Resolve and look: three calls at most. Raises ChatNotFound, ChatPrivate, InputError."""
    peer = await resolver.resolve(name)
    oldest = await connection.call(
        GetHistoryRequest(
            input_peer(peer), offset_id=1, offset_date=None, add_offset=-1, limit=1, max_id=0, min_id=0, hash=0
        )
    )
    dates = [message.date for message in oldest.messages if not isinstance(message, tl.MessageEmpty)]
    first_day = day_of(dates[0].timestamp()) if dates else None
    if peer.kind != "channel":
        return ChatDetails(peer, first_day)
    answer = await connection.call(GetFullChannelRequest(tl.InputChannel(peer.id, peer.access_hash)))
    resolver.learn([*answer.chats, *answer.users])
    full = answer.full_chat
    return ChatDetails(
        peer,
        first_day,
        migrated_from=-full.migrated_from_chat_id if full.migrated_from_chat_id else None,
        linked=Peer("channel", full.linked_chat_id, 0).marked_id if full.linked_chat_id else None,
    )
