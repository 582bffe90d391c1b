"""Telegram's message objects as plain dicts of the shape `contracts.day_file.Message`.

Hot path: runs once a message. Nothing is dropped for being odd: what no field of the day file says is under `wire`, by
the wire's own names, except what `plain.LEFT_OUT` lists.
"""

import inspect
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.days import utc_text
from tg_pipeline.contracts.history import Record
from tg_pipeline.telegram.isolation import UnreadableMessage
from tg_pipeline.telegram.media import media_rest, media_summary
from tg_pipeline.telegram.peers import username_of
from tg_pipeline.telegram.plain import CHANNEL_MARK, SAYS, fields_of, marked_id, plain, rest, snake, unsaid
from tg_pipeline.telegram.rich_text import flattened

_ENTITY_NAMES = {
    tl.MessageEntityTextUrl: "text_link",
    tl.MessageEntityMentionName: "text_mention",
    tl.MessageEntityStrike: "strikethrough",
}

SAYS |= {
    tl.Message: (
        *("id", "date", "from_id", "message", "entities", "views", "forwards", "edit_date", "edit_hide", "action"),
        *("grouped_id", "via_bot_id", "post_author", "pinned"),
        *("reply_to.", "media.", "fwd_from.", "reactions.", "replies."),
    ),
    tl.MessageFwdHeader: ("from_id", "from_name", "date", "channel_post", "post_author"),
    tl.MessageReplyHeader: ("reply_to_msg_id", "reply_to_top_id", "forum_topic", "reply_to_peer_id"),
    tl.MessageReplyStoryHeader: ("peer",),
    tl.MessageReplies: ("replies",),
    tl.MessageReactions: ("results",),
}
_UNSAID = unsaid(tl.Message)
_OPTIONAL = (
    *_UNSAID,
    *("replies", "edit_date", "action", "reply_to", "media", "fwd_from", "reactions"),
    *("grouped_id", "via_bot_id", "post_author", "pinned"),
)
_optional = itemgetter(*_OPTIONAL)
_FLAGS = {name for name, p in inspect.signature(tl.Message).parameters.items() if p.annotation == bool | None}
_NONE_OF_THEM = tuple(False if name in _FLAGS else None for name in _OPTIONAL)
"""What `_optional` gives of a message from the wire that has nothing optional, as most: one comparison settles them."""
_NONE_UNSAID = _NONE_OF_THEM[: len(_UNSAID)]


class MessageMapper:
    """Maps the messages of one chat, as the account with the user id `own_id` sees them."""

    def __init__(self, slug: str, peer: Peer, own_id: int) -> None:
        self._slug = slug
        self._own_id = own_id
        self._anonymous_author = peer.marked_id if peer.kind == "channel" else None

    def record(self, message: Any, timestamp: int) -> Record:
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
            "replies_count": None,
            "entities": [_entity(e) for e in message.entities] if message.entities else [],
            "edited": edited,
            "edit_date": _time(message.edit_date) if edited else None,
            "deleted": False,
            "deleted_at": None,
            "type": "message" if type(message) is tl.Message else _type(message),
        }
        optional = _optional(vars(message))
        if optional != _NONE_OF_THEM:
            _add_optional(body, message, optional[: len(_UNSAID)])
        return Record(message.id, timestamp, body)

    def unreadable(self, message: UnreadableMessage, timestamp: int) -> Record:
        """What stands for a message that cannot be decoded: one without content or author."""
        body = self.record(tl.Message(message.id, peer_id=None, date=None, message=""), timestamp).body
        body |= {"from_id": None, "type": UNREADABLE}
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
            return -(CHANNEL_MARK + int(entity.id))
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


def _type(message: Any) -> str:
    return "service" if isinstance(message, tl.MessageService) else snake(type(message).__name__)


def _time(moment: datetime | None) -> str | None:
    return utc_text(int(moment.timestamp())) if moment else None


@cache
def _entity_kind(kind: type) -> tuple[str, tuple[str, ...]]:
    """The name of a kind of entity, and the fields that say more than where it is."""
    name = _ENTITY_NAMES.get(kind) or snake(kind.__name__.removeprefix("MessageEntity"))
    return name, tuple(field for field in inspect.signature(kind).parameters if field not in {"offset", "length"})


def _entity(entity: Any) -> dict[str, Any]:
    kind: type = type(entity)
    name, more = _entity_kind(kind)
    found = {"type": name, "offset": entity.offset, "length": entity.length}
    for field in more:
        if value := getattr(entity, field):
            found[field if name != "input_message_entity_mention_name" else "user"] = plain(value)
    return found


def _add_optional(  # noqa: C901, PLR0912 - one branch an optional field
    body: dict[str, Any], message: Any, unsaid_values: tuple[Any, ...]
) -> None:
    wire: dict[str, Any] = {}
    if message.replies is not None:
        body["replies_count"] = message.replies.replies
        _keep_rest(wire, "replies", message.replies)
    if message.edit_date is not None and not body["edited"]:
        wire["edit_date"] = _time(message.edit_date)
    if message.action is not None:
        body["action"] = _action(message.action)
    if message.reply_to is not None:
        _reply(body, wire, message.reply_to)
    if message.media is not None:
        body["media"] = media_summary(message.media)
        if (left := media_rest(message.media)) is not None:
            wire["media"] = left
    if message.fwd_from is not None:
        body["forward"] = _forward(message.fwd_from)
        _keep_rest(wire, "fwd_from", message.fwd_from)
    if message.reactions is not None:
        _reactions(body, wire, message.reactions)
    for name in ("grouped_id", "via_bot_id", "post_author"):
        if (value := getattr(message, name)) is not None:
            body[name] = value
    if message.pinned:
        body["pinned"] = True
    if message.rich_message is not None and not body["text"]:
        body["text"], body["entities"] = flattened(message.rich_message)
    if unsaid_values != _NONE_UNSAID:
        wire |= {name: plain(value) for name, value in zip(_UNSAID, unsaid_values, strict=True) if value}
    if wire:
        body["wire"] = wire


def _keep_rest(wire: dict[str, Any], name: str, value: Any) -> None:
    if (left := rest(value)) is not None:
        wire[name] = left


def _reactions(body: dict[str, Any], wire: dict[str, Any], reactions: Any) -> None:
    if reactions.results:
        body["reactions"] = sorted(
            ({"reaction": _reaction(r.reaction), "count": r.count} for r in reactions.results),
            key=lambda r: (-r["count"], r["reaction"]),
        )
    _keep_rest(wire, "reactions", reactions)


def _reply(body: dict[str, Any], wire: dict[str, Any], header: Any) -> None:
    left = rest(header)
    if not isinstance(header, tl.MessageReplyHeader):
        body["reply_to_chat"] = marked_id(header.peer)
        wire["reply_to"] = {"_": snake(type(header).__name__)} | (left or {})
        return
    if left is not None:
        wire["reply_to"] = left
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
            return ":".join(
                (snake(type(reaction).__name__.removeprefix("Reaction")), *map(str, fields_of(reaction).values()))
            )


def _action(action: Any) -> dict[str, Any]:
    name = snake(type(action).__name__.removeprefix("MessageAction"))
    return {"type": name} | fields_of(action)
