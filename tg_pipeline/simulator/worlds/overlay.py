"""Changes on top of a chat: new messages, edits, deletions, another username."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.simulator.world import Chat, TypeChat, TypeMessage
from tg_pipeline.simulator.worlds.ranks import JoinedRanks, RemainingRanks, Removals


class Overlay:
    """A chat that can change while the world runs. What it holds grows with the changes, never with the chat.

    Ranks are those of the visible messages; inside, a *place* counts base messages, then added ones, deleted or not.
    The first `add` stops the base's own growth, because from then on new ids are given out here.
    """

    def __init__(self, base: Chat, clock: Callable[[], float] = time.time) -> None:
        """`clock` dates the changes (POSIX seconds); give the server's."""
        self.base = base
        self.clock = clock
        self._stopped_at: float | None = None
        self._added: list[TypeMessage] = []
        self._latest: list[float] = []
        """The highest date up to each of them."""
        self._edits: dict[int, dict[str, Any]] = {}
        self._removals = Removals()
        self._renamed: TypeChat | None = None
        self._revision = 0

    def add(self, text: str, *, date: float | None = None, reply_to: int | None = None) -> int:
        """Send a message, dated now unless `date` (POSIX seconds) says otherwise; returns its id, above all others.

        `date` may be before that of older messages: on Telegram, dates are not always in the order of the ids.

        Raises:
            ValueError: there is no message `reply_to`.
        """
        now = self.clock()
        header = None if reply_to is None else self._reply_header(self._find(reply_to))
        self._stopped_at = now if self._stopped_at is None else self._stopped_at
        newest = self._newest()
        newest_at = 0 if newest is None else int(newest.date.timestamp())
        post = bool(getattr(self.entity, "broadcast", None))
        message = tl.Message(
            id=1 if newest is None else newest.id + 1,
            peer_id=self.peer,
            date=datetime.fromtimestamp(max(newest_at, int(now)) if date is None else int(date), UTC),
            message=text,
            reply_to=header,
            entities=[],
            post=post or None,
            views=1 if post else None,
        )
        self._append(message, newest_at)
        return int(message.id)

    def migrate(self, supergroup: tl.Channel) -> int:
        """Let a basic group become this supergroup: the last message says so, and returns its id; the group is closed.

        Raises:
            ValueError: the chat is no basic group.
        """
        if not isinstance(self.entity, tl.Chat):
            raise ValueError("only a basic group becomes a supergroup")
        self._stopped_at = self.clock() if self._stopped_at is None else self._stopped_at
        newest = self._newest()
        newest_at = 0 if newest is None else int(newest.date.timestamp())
        message = tl.MessageService(
            id=1 if newest is None else newest.id + 1,
            peer_id=self.peer,
            date=datetime.fromtimestamp(max(newest_at, int(self.clock())), UTC),
            action=tl.MessageActionChatMigrateTo(supergroup.id),
        )
        self._append(message, newest_at)
        self._renamed = copy(self.entity)
        self._renamed.deactivated = True
        self._renamed.migrated_to = tl.InputChannel(supergroup.id, supergroup.access_hash)
        return int(message.id)

    def _append(self, message: TypeMessage, newest_at: int) -> None:
        self._added.append(message)
        self._latest.append(max(_dated(message), *self._latest[-1:], newest_at))

    def edit(self, message_id: int, text: str) -> None:
        """Replace a message's text and set its edit date.

        Raises:
            ValueError: there is no such message, or it is a service message.
        """
        if isinstance(self._find(message_id), tl.MessageService):
            raise ValueError(f"message {message_id} is a service message; it has no text")
        self._revision += 1
        edited = datetime.fromtimestamp(int(self.clock()), UTC)
        self._edits[message_id] = {"message": text, "entities": [], "edit_date": edited, "edit_hide": None}

    def delete(self, message_ids: Iterable[int]) -> int:
        """Delete messages; unknown ids are passed over, as Telegram does. Returns how many went."""
        now = self.clock()
        places = {place for message_id in message_ids if (place := self._place_of(message_id, now)) is not None}
        self._revision += bool(places)
        for place in places:
            self._removals.remove(place)
        return len(places)

    def rename(self, username: str | None) -> None:
        """Give the chat another username, or none.

        Raises:
            ValueError: a basic group cannot have one.
        """
        if isinstance(self.base.entity, tl.Chat):
            raise ValueError("a basic group has no username")
        self._renamed = copy(self.base.entity)
        self._renamed.username = username

    @property
    def peer(self) -> tl.PeerChannel | tl.PeerChat | tl.PeerUser:
        """The peer, with the bare positive id."""
        return self.base.peer

    @property
    def username(self) -> str | None:
        """Without the at sign; None where the chat has none."""
        if self._renamed is None or isinstance(self._renamed, tl.Chat):
            return self.base.username
        name: str | None = self._renamed.username
        return name

    @property
    def entity(self) -> TypeChat:
        """The TL object that names the peer in answers."""
        return self._renamed or self.base.entity

    @property
    def revision(self) -> int:
        """Grows with every edit and deletion."""
        return self._revision

    def size(self, now: float) -> int:
        """How many messages exist at `now`."""
        return self._removals.left_before(self._places(now))

    def rank_of_id(self, message_id: int, now: float) -> int:
        """How many messages have an id lower than `message_id`."""
        added = bisect_left(self._added, message_id, key=lambda message: message.id)
        place = self.base.rank_of_id(message_id, self._base_now(now)) + added
        return self._removals.left_before(min(place, self._places(now)))

    def rank_of_date(self, timestamp: float, now: float) -> int:
        """How many messages precede the first one dated at `timestamp` or later."""
        added = bisect_left(self._latest, timestamp)
        place = self.base.rank_of_date(timestamp, self._base_now(now)) + added
        return self._removals.left_before(min(place, self._places(now)))

    def messages(self, start: int, stop: int, now: float) -> Sequence[TypeMessage]:
        """The messages of ranks start..stop-1, ascending by id."""
        start, stop = max(0, start), min(stop, self.size(now))
        if start >= stop:
            return []
        first, last = self._removals.original(start), self._removals.original(stop - 1)
        base_now = self._base_now(now)
        base_size = self.base.size(base_now)
        found = list(self.base.messages(first, min(last + 1, base_size), base_now)) if first < base_size else []
        found += self._added[max(0, first - base_size) : max(0, last + 1 - base_size)]
        if self._removals.positions:
            found = [message for place, message in enumerate(found, first) if place not in self._removals]
        if self._edits:
            found = [self._as_edited(message) for message in found]
        return found

    def people(self, messages: Iterable[TypeMessage]) -> Sequence[TypeChat]:
        """Users and other chats that these messages refer to, each once."""
        return self.base.people(messages)

    def full(self, now: float) -> tl.messages.ChatFull:
        """The answer to getFullChannel / getFullChat."""
        answer = self.base.full(self._base_now(now))
        answer.chats = [self.entity if chat.id == self.entity.id else chat for chat in answer.chats]
        return answer

    def topics(self) -> Sequence[tl.ForumTopic]:
        """Forum topics; empty where the chat is no forum."""
        return self.base.topics()

    def replies(self, root_id: int, now: float) -> Sequence[int]:
        """Ranks, ascending, of the messages in the thread or topic under `root_id`."""
        base_now = self._base_now(now)
        ranks = self.base.replies(root_id, base_now)
        base_size = self.base.size(base_now)
        existing = self._added[: self._places(now) - base_size]
        added = [base_size + n for n, message in enumerate(existing) if _root_of(message) == root_id]
        if added:
            ranks = JoinedRanks(ranks, added)
        return RemainingRanks(ranks, self._removals) if self._removals.positions else ranks

    def file(self, file_id: int) -> bytes | None:
        """The bytes of a photo or document of this chat; None where there is no such file."""
        return self.base.file(file_id)

    def _base_now(self, now: float) -> float:
        return now if self._stopped_at is None else min(now, self._stopped_at)

    def _places(self, now: float) -> int:
        return self.base.size(self._base_now(now)) + bisect_right(self._latest, now)

    def _newest(self) -> TypeMessage | None:
        """The message of the highest id, deleted or not, dated in the future or not."""
        if self._added:
            return self._added[-1]
        now = self._base_now(self.clock())
        size = self.base.size(now)
        return self.base.messages(size - 1, size, now)[0] if size else None

    def _place_of(self, message_id: int, now: float) -> int | None:
        rank = self.rank_of_id(message_id, now)
        found = self.messages(rank, rank + 1, now)
        return self._removals.original(rank) if found and found[0].id == message_id else None

    def _find(self, message_id: int) -> TypeMessage:
        now = self.clock()
        rank = self.rank_of_id(message_id, now)
        found = self.messages(rank, rank + 1, now)
        if not found or found[0].id != message_id:
            raise ValueError(f"there is no message {message_id}")
        return found[0]

    def _reply_header(self, target: TypeMessage) -> tl.MessageReplyHeader:
        if any(topic.id == target.id for topic in self.topics()):
            return tl.MessageReplyHeader(reply_to_msg_id=target.id, forum_topic=True)
        above = target.reply_to
        if above is None:
            return tl.MessageReplyHeader(reply_to_msg_id=target.id)
        return tl.MessageReplyHeader(
            reply_to_msg_id=target.id,
            reply_to_top_id=above.reply_to_top_id or above.reply_to_msg_id,
            forum_topic=above.forum_topic,
        )

    def _as_edited(self, message: TypeMessage) -> TypeMessage:
        changes = self._edits.get(message.id)
        if changes is None:
            return message
        edited = copy(message)
        for name, value in changes.items():
            setattr(edited, name, value)
        return edited


def _dated(message: TypeMessage) -> float:
    return float(message.date.timestamp())


def _root_of(message: TypeMessage) -> int | None:
    return None if message.reply_to is None else message.reply_to.reply_to_top_id or message.reply_to.reply_to_msg_id
