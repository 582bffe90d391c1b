"""What is said in a supergroup: conversations, topics, media and service messages, each made from its rank alone."""

from collections.abc import Sequence
from datetime import UTC, datetime

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds.actions import ACTIONS
from tg_pipeline.simulator.worlds.bodies import TALK
from tg_pipeline.simulator.worlds.content import Content
from tg_pipeline.simulator.worlds.draws import draw
from tg_pipeline.simulator.worlds.entities import forum_topic
from tg_pipeline.simulator.worlds.ids import IdPattern
from tg_pipeline.simulator.worlds.people import USER_IDS_FROM
from tg_pipeline.simulator.worlds.ranks import PeriodicRanks
from tg_pipeline.simulator.worlds.reactions import reactions

CONVERSATION = 8
"""Ranks that share a topic and reply only among themselves."""

TOPICS = ("Announcements", "Support", "Off-topic 🎉")
TOPIC_OF_CONVERSATION = (None, 1, None, 0, 1, 2, None, 1)
"""The topic (index into TOPICS, None for General) of conversation n is entry n modulo 8."""

SERVICE_SHARE = 24
ANONYMOUS_SHARE = 24
"""Of 1024 messages, how many are service messages, and how many are written by an anonymous admin."""

EDIT_SECONDS = 20

_ICON_COLOURS = (0x6FB9F0, 0xFFD67E, 0xCB86DB)


class GroupContent(Content):
    """Messages of a supergroup, with forum topics where `forum` is set.

    Rank 0 creates the group; in a forum, ranks 1 to 3 create the topics. Messages refer back within their conversation
    of eight ranks only. One text in sixteen is edited within 20 seconds.
    """

    def __init__(
        self,
        seed: int,
        entity: tl.Channel,
        ids: IdPattern,
        *,
        population: int = 400,
        birth: tl.TypeMessageAction | None = None,
    ) -> None:
        """`birth` is the action of rank 0 (default: the group was created)."""
        super().__init__(seed)
        self._peer = tl.PeerChannel(entity.id)
        self._ids = ids
        self._population = population
        self._forum = bool(entity.forum)
        self._birth = birth or tl.MessageActionChannelCreate(title=entity.title)

    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""
        bits = draw(self._seed, rank)
        action = self._action(rank, timestamp, bits)
        date = datetime.fromtimestamp(timestamp, UTC)
        if action is not None:
            pinning, silent = bits | 1 << 16, bits & ~(3 << 16)
            return tl.MessageService(
                id=message_id,
                peer_id=self._peer,
                date=date,
                from_id=self._sender(bits),
                reply_to=self._reply_to(rank, pinning if isinstance(action, tl.MessageActionPinMessage) else silent),
                action=action,
            )
        fields = TALK[bits >> 36 & 1023](bits, self._lane | rank, timestamp)
        if not bits >> 10 & 15 and fields["message"]:
            fields["message"] += " (edited)"
            fields["edit_date"] = datetime.fromtimestamp(timestamp + 1 + (bits >> 40) % EDIT_SECONDS, UTC)
        elif not bits >> 20 & 7:
            fields["reactions"] = reactions(bits >> 32)
            if bits >> 23 & 1:
                fields["edit_date"] = date
                fields["edit_hide"] = True
        return tl.Message(
            id=message_id,
            peer_id=self._peer,
            date=date,
            from_id=None if bits & 1023 >= 1024 - ANONYMOUS_SHARE else self._sender(bits),
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
        """Ranks under a topic's root; in a group without topics, the replies of the conversation it opens."""
        if self._forum:
            if not 1 <= root_rank <= len(TOPICS):
                return ()
            turns = [n for n, topic in enumerate(TOPIC_OF_CONVERSATION) if topic == root_rank - 1]
            residues = [n * CONVERSATION + k for n in turns for k in range(CONVERSATION)]
            return PeriodicRanks(CONVERSATION * len(TOPIC_OF_CONVERSATION), residues, size)
        if root_rank % CONVERSATION:
            return ()
        followers = range(root_rank + 1, min(root_rank + CONVERSATION, size))
        return [rank for rank in followers if self.message(rank, 0, 0).reply_to is not None]

    def _sender(self, bits: int) -> tl.PeerUser:
        return tl.PeerUser(USER_IDS_FROM + min((bits >> 24) % self._population, (bits >> 34) % self._population))

    def _action(self, rank: int, timestamp: int, bits: int) -> tl.TypeMessageAction | None:
        if rank == 0:
            return self._birth
        if self._forum and rank <= len(TOPICS):
            return tl.MessageActionTopicCreate(title=TOPICS[rank - 1], icon_color=_ICON_COLOURS[rank - 1])
        if bits & 1023 >= SERVICE_SHARE:
            return None
        return ACTIONS[bits >> 44 & 15](bits, self._sender(bits).user_id, self._lane | rank, timestamp)

    def _reply_to(self, rank: int, bits: int) -> tl.MessageReplyHeader | None:
        conversation, position = divmod(rank, CONVERSATION)
        topic = TOPIC_OF_CONVERSATION[conversation % len(TOPIC_OF_CONVERSATION)] if self._forum else None
        root = None if topic is None else self._ids.id_of(topic + 1)
        if position and bits >> 16 & 3 and conversation:
            target = rank - 1 - (bits >> 18) % position
            if not self._forum and target % CONVERSATION:
                root = self._ids.id_of(rank - position)
            return tl.MessageReplyHeader(
                reply_to_msg_id=self._ids.id_of(target),
                reply_to_top_id=root,
                forum_topic=topic is not None or None,
            )
        return None if topic is None else tl.MessageReplyHeader(reply_to_msg_id=root, forum_topic=True)
