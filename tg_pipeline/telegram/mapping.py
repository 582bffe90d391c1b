"""Telegram's message objects as plain dicts of the shape `contracts.day_file.Message`.

Hot path: runs once a message. Nothing is dropped for being odd: what this version does not know keeps its type name.
"""

from datetime import datetime
from functools import cache
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.days import utc_text
from tg_pipeline.contracts.history import Record
from tg_pipeline.telegram.isolation import UnreadableMessage
from tg_pipeline.telegram.media import media_summary, plain
from tg_pipeline.telegram.resolver import username_of

_CHANNEL_MARK = 1_000_000_000_000
_ENTITY_NAMES = {
    tl.MessageEntityTextUrl: "text_link",
    tl.MessageEntityMentionName: "text_mention",
    tl.MessageEntityStrike: "strikethrough",
}


def marked_id(peer: Any) -> int | None:
    """A TL peer as a marked id: users positive, basic groups -id, channels -100id."""
    if peer is None:
        return None
    kind = type(peer)
    if kind is tl.PeerUser:
        return int(peer.user_id)
    if kind is tl.PeerChannel:
        return -(_CHANNEL_MARK + int(peer.channel_id))
    return -int(peer.chat_id)


@cache
def snake(name: str) -> str:
    """`ChatAddUser` as `chat_add_user`."""
    return "".join(f"_{c.lower()}" if c.isupper() and n else c.lower() for n, c in enumerate(name))


class MessageMapper:
    """Maps the messages of one chat, as the account with the user id `own_id` sees them."""

    def __init__(self, slug: str, peer: Peer, own_id: int) -> None:
        self._slug = slug
        self._own_id = own_id
        self._anonymous_author = peer.marked_id if peer.kind == "channel" else None

    def record(self, message: Any, timestamp: int) -> Record:  # noqa: C901 - one branch an optional field
        """One message. Cost: a few microseconds."""
        edited = message.edit_date is not None and not message.edit_hide
        from_id = marked_id(message.from_id)
        body: dict[str, Any] = {
            "id": message.id,
            "date": utc_text(timestamp),
            "from_id": self._sender(message) if from_id is None else from_id,
            "chat": self._slug,
            "text": message.message or "",
            "reply_to": None,
            "views": message.views,
            "forwards": message.forwards,
            "replies_count": message.replies.replies if message.replies else None,
            "entities": [_entity(e) for e in message.entities] if message.entities else [],
            "edited": edited,
            "edit_date": _time(message.edit_date) if edited else None,
            "deleted": False,
            "deleted_at": None,
            "type": "message",
        }
        if type(message) is not tl.Message:
            body["type"] = "service" if isinstance(message, tl.MessageService) else snake(type(message).__name__)
            if message.action is not None:
                body["action"] = _action(message.action)
        if message.reply_to is not None:
            _reply(body, message.reply_to)
        if message.media is not None:
            body["media"] = media_summary(message.media)
        if message.grouped_id is not None:
            body["grouped_id"] = message.grouped_id
        if message.fwd_from is not None:
            body["forward"] = _forward(message.fwd_from)
        if message.reactions is not None and message.reactions.results:
            body["reactions"] = sorted(
                ({"reaction": _reaction(r.reaction), "count": r.count} for r in message.reactions.results),
                key=lambda r: (-r["count"], r["reaction"]),
            )
        if message.via_bot_id is not None:
            body["via_bot_id"] = message.via_bot_id
        if message.post_author is not None:
            body["post_author"] = message.post_author
        if message.pinned:
            body["pinned"] = True
        return Record(message.id, timestamp, body)

    def unreadable(self, message: UnreadableMessage, timestamp: int) -> Record:
        """What stands for a message that cannot be decoded."""
        body: dict[str, Any] = {
            "id": message.id,
            "date": utc_text(timestamp),
            "from_id": None,
            "chat": self._slug,
            "text": "",
            "reply_to": None,
            "views": None,
            "forwards": None,
            "replies_count": None,
            "entities": [],
            "edited": False,
            "edit_date": None,
            "deleted": False,
            "deleted_at": None,
            "type": UNREADABLE,
        }
        if message.constructor is not None:
            body["wire"] = {"constructor": f"{message.constructor:08x}"}
        return Record(message.id, timestamp, body)

    def _sender(self, message: Any) -> int | None:
        """Who speaks where the wire names nobody: the channel itself, or one of the two of a private dialog.

        `from_id` is absent for channel posts and anonymous admins (telegram-facts), who speak as the chat.
        """
        if self._anonymous_author is not None:
            return self._anonymous_author
        return self._own_id if message.out else marked_id(message.peer_id)


def entity_id(entity: Any) -> int | None:
    """The marked id of a user or chat of an answer; None for an empty one."""
    match entity:
        case tl.User():
            return int(entity.id)
        case tl.Channel() | tl.ChannelForbidden():
            return -(_CHANNEL_MARK + int(entity.id))
        case tl.Chat() | tl.ChatForbidden():
            return -int(entity.id)
        case _:
            return None


def participant(entity: Any) -> dict[str, Any]:
    """A user or chat that has an `entity_id`, as `contracts.day_file.Participant`. No phone numbers."""
    found = {"id": entity_id(entity), "kind": "user", "name": None, "username": None}
    match entity:
        case tl.User():
            found["name"] = " ".join(part for part in (entity.first_name, entity.last_name) if part) or None
            found["username"] = username_of(entity)
            if entity.bot:
                found["bot"] = True
        case tl.Channel():
            found |= {"kind": "channel", "name": entity.title, "username": username_of(entity)}
        case tl.ChannelForbidden():
            found |= {"kind": "channel", "name": entity.title}
        case _:
            found |= {"kind": "chat", "name": entity.title}
    return found


def _time(moment: datetime | None) -> str | None:
    return utc_text(int(moment.timestamp())) if moment else None


def _entity(entity: Any) -> dict[str, Any]:
    kind = type(entity)
    name = _ENTITY_NAMES.get(kind) or snake(kind.__name__.removeprefix("MessageEntity"))
    found = {"type": name, "offset": entity.offset, "length": entity.length}
    if kind is tl.MessageEntityTextUrl:
        found["url"] = entity.url
    elif kind is tl.MessageEntityMentionName:
        found["user_id"] = entity.user_id
    elif kind is tl.MessageEntityPre:
        found["language"] = entity.language
    elif kind is tl.MessageEntityCustomEmoji:
        found["document_id"] = entity.document_id
    return found


def _reply(body: dict[str, Any], header: Any) -> None:
    if not isinstance(header, tl.MessageReplyHeader):
        body["reply_to_chat"] = marked_id(header.peer)
        return
    body["reply_to"] = header.reply_to_msg_id
    if header.reply_to_top_id is not None:
        body["thread_id"] = header.reply_to_top_id
    elif header.forum_topic:
        body["thread_id"] = header.reply_to_msg_id
    if header.forum_topic:
        body["topic"] = True
    if header.reply_to_peer_id is not None:
        body["reply_to_chat"] = marked_id(header.reply_to_peer_id)


def _forward(header: Any) -> dict[str, Any]:
    found = {
        "from_id": marked_id(header.from_id),
        "from_name": header.from_name,
        "date": _time(header.date),
        "channel_post": header.channel_post,
        "post_author": header.post_author,
    }
    return {key: value for key, value in found.items() if value is not None}


def _reaction(reaction: Any) -> str:
    match reaction:
        case tl.ReactionEmoji():
            return str(reaction.emoticon)
        case tl.ReactionCustomEmoji():
            return f"custom:{reaction.document_id}"
        case tl.ReactionPaid():
            return "paid"
        case _:
            return snake(type(reaction).__name__.removeprefix("Reaction"))


def _action(action: Any) -> dict[str, Any]:
    name = snake(type(action).__name__.removeprefix("MessageAction"))
    return {"type": name} | {key: plain(value) for key, value in vars(action).items() if value is not None}
