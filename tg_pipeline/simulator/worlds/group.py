"""What is said in a supergroup: conversations, topics, media and service messages, each made from its rank alone."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds import media
from tg_pipeline.simulator.worlds.draws import derive, draw
from tg_pipeline.simulator.worlds.entities import forum_topic
from tg_pipeline.simulator.worlds.ids import IdPattern
from tg_pipeline.simulator.worlds.people import BOT_IDS_FROM, USER_IDS_FROM
from tg_pipeline.simulator.worlds.ranks import PeriodicRanks
from tg_pipeline.simulator.worlds.reactions import reactions
from tg_pipeline.simulator.worlds.text import FRAGMENTS, LONG_TEXT, join

CONVERSATION = 8
"""Ranks that share a topic, and reply only among themselves."""

TOPICS = ("Announcements", "Support", "Off-topic 🎉")
TOPIC_OF_CONVERSATION = (None, 1, None, 0, 1, 2, None, 1)
"""The topic (index into TOPICS, None for General) of conversation n is entry n modulo 8."""

_ICON_COLOURS = (0x6FB9F0, 0xFFD67E, 0xCB86DB)


class GroupContent:
    """Messages of a supergroup, with forum topics where `forum` is set.

    Rank 0 creates the group; in a forum, ranks 1 to 3 create the topics. Messages refer back within their conversation of
    eight ranks only. One message in sixteen is edited within 20 s, one in 43 is a service message.
    """

    def __init__(
        self,
        seed: int,
        entity: tl.Channel,
        ids: IdPattern,
        *,
        population: int = 400,
        forum: bool = False,
        birth: tl.TypeMessageAction | None = None,
    ) -> None:
        """`birth` is the action of rank 0 (default: the group was created)."""
        self._seed = derive(seed, "group")
        self._peer = tl.PeerChannel(entity.id)
        self._title = entity.title
        self._ids = ids
        self._population = population
        self._forum = forum
        self._birth = birth or tl.MessageActionChannelCreate(title=entity.title)
        self._files = derive(seed, f"files:{entity.id}") >> 33 << 32

    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""
        bits = draw(self._seed, rank)
        date = datetime.fromtimestamp(timestamp, UTC)
        if rank == 0:
            return self._service(message_id, date, bits, self._birth)
        if self._forum and rank <= len(TOPICS):
            action = tl.MessageActionTopicCreate(title=TOPICS[rank - 1], icon_color=_ICON_COLOURS[rank - 1])
            return self._service(message_id, date, bits, action)
        kind = bits & 1023
        if kind < 24:  # noqa: PLR2004 -- the shares of the kinds stand here and in docs/simulator-worlds.md
            return self._service(
                message_id, date, bits, self._action(rank, timestamp, bits), self._reply_to(rank, bits)
            )
        fields = self._body(kind, rank, timestamp, bits)
        edited = timestamp + 1 + (bits >> 40) % 20
        if bits >> 10 & 15 == 0 and fields["message"]:
            fields["message"] += " (edited)"
            fields["edit_date"] = datetime.fromtimestamp(edited, UTC)
        elif bits >> 20 & 7 == 0:
            fields["reactions"] = reactions(bits >> 32)
            if bits >> 23 & 1:
                fields["edit_date"] = date
                fields["edit_hide"] = True
        return tl.Message(
            id=message_id,
            peer_id=self._peer,
            date=date,
            from_id=None if kind >= 1000 else self._sender(bits),
            reply_to=self._reply_to(rank, bits),
            **fields,
        )

    def topics(self) -> Sequence[tl.ForumTopic]:
        """The forum topics besides General, oldest first."""
        if not self._forum:
            return ()
        return [
            forum_topic(
                self._peer, self._ids.id_of(n + 1), title, self._sender(draw(self._seed, n + 1)), _ICON_COLOURS[n]
            )
            for n, title in enumerate(TOPICS)
        ]

    def replies(self, root_rank: int, size: int) -> Sequence[int]:
        """Ranks under a topic's root; in a group without topics, the replies of the conversation that `root_rank` opens."""
        if self._forum:
            if not 1 <= root_rank <= len(TOPICS):
                return ()
            turns = [n for n, topic in enumerate(TOPIC_OF_CONVERSATION) if topic == root_rank - 1]
            residues = [n * CONVERSATION + k for n in turns for k in range(CONVERSATION)]
            return PeriodicRanks(CONVERSATION * len(TOPIC_OF_CONVERSATION), residues, size)
        if root_rank % CONVERSATION:
            return ()
        followers = range(root_rank + 1, min(root_rank + CONVERSATION, size))
        return [rank for rank in followers if self._reply_to(rank, draw(self._seed, rank)) is not None]

    def file_rank(self, file_id: int) -> int | None:
        """The rank whose message would hold that file."""
        return file_id & 0xFFFF_FFFF if file_id >> 32 << 32 == self._files else None

    def _sender(self, bits: int) -> tl.PeerUser:
        return tl.PeerUser(USER_IDS_FROM + min((bits >> 24) % self._population, (bits >> 34) % self._population))

    def _service(
        self,
        message_id: int,
        date: datetime,
        bits: int,
        action: tl.TypeMessageAction,
        reply_to: tl.MessageReplyHeader | None = None,
    ) -> tl.MessageService:
        return tl.MessageService(
            id=message_id,
            peer_id=self._peer,
            date=date,
            from_id=self._sender(bits),
            reply_to=reply_to,
            action=action,
        )

    def _action(self, rank: int, timestamp: int, bits: int) -> tl.TypeMessageAction:
        user_id = self._sender(bits).user_id
        match bits >> 44 & 15:
            case 0 | 1 | 2 | 3 | 4:
                return tl.MessageActionChatAddUser(users=[user_id])
            case 5 | 6:
                return tl.MessageActionChatJoinedByLink(inviter_id=user_id)
            case 7:
                return tl.MessageActionChatJoinedByRequest()
            case 8 | 9 if rank % CONVERSATION:
                return tl.MessageActionPinMessage()
            case 10:
                return tl.MessageActionChatEditTitle(title=self._title)
            case 11:
                return tl.MessageActionChatEditPhoto(photo=media.photo(self._files | rank, timestamp).photo)
            case 12:
                call = tl.InputGroupCall(id=bits >> 32, access_hash=1)
                return tl.MessageActionGroupCall(call=call, duration=bits % 3600)
            case 13:
                return tl.MessageActionBoostApply(boosts=1)
            case 14:
                return tl.MessageActionSetMessagesTTL(period=86_400 * 31)
            case _:
                return tl.MessageActionChatDeleteUser(user_id=user_id)

    def _reply_to(self, rank: int, bits: int) -> tl.MessageReplyHeader | None:
        conversation, position = divmod(rank, CONVERSATION)
        topic = TOPIC_OF_CONVERSATION[conversation % len(TOPIC_OF_CONVERSATION)] if self._forum else None
        root = None if topic is None else self._ids.id_of(topic + 1)
        if position and bits >> 16 & 3 and conversation:
            target = rank - 1 - (bits >> 18) % position
            if root is None and not self._forum and target % CONVERSATION:
                root = self._ids.id_of(rank - position)
            return tl.MessageReplyHeader(
                reply_to_msg_id=self._ids.id_of(target),
                reply_to_top_id=root,
                forum_topic=topic is not None or None,
            )
        return None if topic is None else tl.MessageReplyHeader(reply_to_msg_id=root, forum_topic=True)

    def _body(self, kind: int, rank: int, timestamp: int, bits: int) -> dict[str, Any]:
        if kind < 26:
            return {"message": LONG_TEXT}
        count = 1 + (bits >> 12 & 3)
        text, entities = join(FRAGMENTS[bits >> 46 + 5 * n & 31] for n in range(min(count, 3)))
        fields: dict[str, Any] = {"message": text, "entities": entities}
        if kind < 30:
            return {"message": "", "media": media.rare(bits)}
        if kind < 120:
            attached = media.photo(self._files | rank, timestamp)
            return {"message": "", "media": attached} if kind < 60 else {**fields, "media": attached}
        if kind < 170:
            return {"message": "", "media": media.any_document(self._files | rank, timestamp, bits >> 32)}
        if kind < 173:
            votes = [bits >> 32 & 63, bits >> 38 & 63, bits >> 44 & 63]
            return {
                "message": "",
                "media": media.poll(rank, "Which day suits you?", ["Monday", "вторник", "水曜日 🗓"], votes),
            }
        if kind < 190:
            fields["via_bot_id"] = BOT_IDS_FROM + rank % 3
        elif kind < 210:
            sent = datetime.fromtimestamp(timestamp - 3600 - bits % 86_400, UTC)
            fields["fwd_from"] = tl.MessageFwdHeader(date=sent, **_origin(bits))
        elif kind < 216:
            fields["noforwards"] = True
        elif kind < 222:
            fields["ttl_period"] = 86_400 * 31
        elif kind < 226:
            fields["restriction_reason"] = [tl.RestrictionReason(platform="ios", reason="terms", text="Not shown here")]
        elif kind < 300:
            fields["media"] = media.webpage(
                "https://example.org/docs?q=%F0%9F%98%80", "The docs 👩‍💻", "Everything in one place"
            )
        elif kind < 310:
            fields["mentioned"] = True
        return fields


def _origin(bits: int) -> dict[str, Any]:
    if bits >> 33 & 1:
        return {"from_name": "Hidden Sender"}
    return {"from_id": tl.PeerUser(USER_IDS_FROM + (bits >> 34) % 1_000)}
