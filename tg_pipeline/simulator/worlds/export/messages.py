"""One exported message to the TL object that Telegram would have sent."""

from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.exports.fields import INT32, Fields, digits, number, objects, string
from tg_pipeline.exports.threads import Threads
from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds.export.actions import action_of
from tg_pipeline.simulator.worlds.export.directory import Directory, peer_of
from tg_pipeline.simulator.worlds.export.media import Attachments
from tg_pipeline.simulator.worlds.export.text import text_and_entities


class Converter:
    """Makes the messages of one exported chat."""

    def __init__(
        self,
        entity: tl.Channel | tl.Chat | tl.User,
        peer: tl.TypePeer,
        directory: Directory,
        attachments: Attachments,
        threads: Threads,
    ) -> None:
        self._peer = peer
        self._broadcast = bool(getattr(entity, "broadcast", None))
        self._directory = directory
        self._attachments = attachments
        self._threads = threads

    def message(self, index: int, message_id: int, timestamp: int, exported: Fields) -> TypeMessage:
        """The message at `index` of the chat."""
        date = datetime.fromtimestamp(timestamp, UTC)
        common: dict[str, Any] = {
            "id": message_id,
            "peer_id": self._peer,
            "date": date,
            "reply_to": self._reply_to(message_id, exported),
            **self._sender(peer_of(exported.get("from_id", exported.get("actor_id")))),
        }
        if exported.get("type") == "service":
            action = action_of(
                exported,
                self._directory,
                lambda: self._attachments.photo_of_action(index, exported, date),
            )
            return tl.MessageService(action=action, **common)
        text, entities = text_and_entities(exported)
        edited = _moment(exported, "edited_unixtime")
        return tl.Message(
            message=text,
            entities=entities,
            media=self._attachments.media(index, exported, date),
            edit_date=edited,
            post_author=string(exported, "author") or None,
            via_bot_id=self._directory.user_id(exported["via_bot"]) if string(exported, "via_bot") else None,
            fwd_from=_forward(exported, date),
            reactions=_reactions(exported),
            **common,
        )

    def _sender(self, sender: tl.TypePeer | None) -> dict[str, Any]:
        if self._broadcast:
            return {"post": True}
        if isinstance(self._peer, tl.PeerUser):
            return {"out": True} if sender is not None and sender != self._peer else {}
        return {"from_id": None if sender == self._peer else sender}

    def _reply_to(self, message_id: int, exported: Fields) -> tl.MessageReplyHeader | None:
        target = number(exported, "message_id" if exported.get("action") == "pin_message" else "reply_to_message_id")
        if not target:
            return None
        root = self._threads.root_of(message_id)
        return tl.MessageReplyHeader(
            reply_to_msg_id=target,
            reply_to_peer_id=peer_of(exported.get("reply_to_peer_id")),
            reply_to_top_id=root if root != target else None,
            forum_topic=self._threads.is_topic(root) or None,
        )


def _forward(exported: Fields, date: datetime) -> tl.MessageFwdHeader | None:
    if "forwarded_from" not in exported and "saved_from" not in exported:
        return None
    origin = peer_of(exported.get("forwarded_from_id"))
    return tl.MessageFwdHeader(
        date=_moment(exported, "forwarded_date_unixtime") or date,
        from_id=origin,
        from_name=None if origin is not None else string(exported, "forwarded_from") or None,
        saved_from_name=string(exported, "saved_from") or None,
    )


def _moment(exported: Fields, key: str) -> datetime | None:
    moment = digits(exported, key, INT32)
    return datetime.fromtimestamp(moment, UTC) if moment else None


def _reactions(exported: Fields) -> tl.MessageReactions | None:
    counted = [
        tl.ReactionCount(reaction=_reaction(fields), count=number(fields, "count"))
        for fields in objects(exported, "reactions")
    ]
    return tl.MessageReactions(results=counted) if counted else None


def _reaction(fields: Fields) -> tl.TypeReaction:
    match fields.get("type"):
        case "paid":
            return tl.ReactionPaid()
        case "custom_emoji":
            return tl.ReactionCustomEmoji(digits(fields, "document_id"))
        case _:
            return tl.ReactionEmoji(string(fields, "emoji"))
