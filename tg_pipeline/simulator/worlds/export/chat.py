"""A chat of an export, served from the parsed file: a message is made when it is asked for."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from telethon.tl import types as tl

from tg_pipeline.exports.fields import string
from tg_pipeline.exports.reading import Record
from tg_pipeline.exports.threads import Threads
from tg_pipeline.simulator.world import TypeChat, TypeMessage
from tg_pipeline.simulator.worlds.entities import forum_topic, full_basic_group, full_channel
from tg_pipeline.simulator.worlds.export.directory import Directory
from tg_pipeline.simulator.worlds.export.media import Attachments
from tg_pipeline.simulator.worlds.export.messages import Converter


class ExportedChat:
    """A `Chat` over the records of an export, ascending by id."""

    def __init__(
        self,
        entity: TypeChat,
        username: str | None,
        records: Sequence[Record],
        directory: Directory,
        attachments: Attachments,
        migrated: tuple[tl.Chat, int] | None = None,
    ) -> None:
        """`migrated` is the basic group that this supergroup was, with its last id."""
        self.entity = entity
        self.username = username
        self.peer = _peer(entity)
        self._records = records
        self._ids = [record.message_id for record in records]
        # Dates need not ascend with ids; the running maximum answers "the first dated at T or later" by bisection.
        self._latest = list(accumulate((record.timestamp for record in records), max))
        self._directory = directory
        self._attachments = attachments
        self._threads = Threads((record.message_id, record.fields) for record in records)
        self._converter = Converter(entity, self.peer, directory, attachments, self._threads)
        self._migrated = migrated

    @property
    def revision(self) -> int:
        """0: what exists never changes."""
        return 0

    def size(self, now: float) -> int:
        """How many messages exist at `now`."""
        return bisect_right(self._latest, now)

    def rank_of_id(self, message_id: int, now: float) -> int:
        """How many messages have an id lower than `message_id`."""
        return min(bisect_left(self._ids, message_id), self.size(now))

    def rank_of_date(self, timestamp: float, now: float) -> int:
        """How many messages precede the first one dated at `timestamp` or later."""
        return min(bisect_left(self._latest, timestamp), self.size(now))

    def messages(self, start: int, stop: int, now: float) -> Sequence[TypeMessage]:
        """The messages of ranks start..stop-1, ascending by id."""
        return [self._message(rank) for rank in range(max(0, start), min(stop, self.size(now)))]

    def people(self, messages: Iterable[TypeMessage]) -> Sequence[TypeChat]:
        """Users and other chats that these messages refer to, each once."""
        return self._directory.named_in(messages)

    def full(self, now: float) -> tl.messages.ChatFull:
        """The answer to getFullChannel or getFullChat.

        Raises:
            TypeError: the chat is a dialog with a user, which has no such form.
        """
        size = self.size(now)
        if isinstance(self.entity, tl.Channel):
            old, last_id = self._migrated or (None, None)
            newest = self._ids[size - 1] if size else 0
            return full_channel(self.entity, newest, migrated_from=old, migrated_from_max_id=last_id)
        if isinstance(self.entity, tl.Chat):
            return full_basic_group(self.entity, [])
        raise TypeError("a dialog with a user has no full chat")

    def topics(self) -> Sequence[tl.ForumTopic]:
        """Forum topics; empty where the chat is no forum."""
        return [
            forum_topic(self.peer, message_id, string(fields, "title"), tl.PeerUser(0))
            for message_id, fields in self._threads.topics
        ]

    def replies(self, root_id: int, now: float) -> Sequence[int]:
        """Ranks, ascending, of the messages in the thread or topic under `root_id`."""
        ranks = self._threads.ranks(root_id)
        return ranks[: bisect_left(ranks, self.size(now))]

    def file(self, file_id: int) -> bytes | None:
        """The bytes of a photo or document, None where the file was not exported."""
        index = self._attachments.index(file_id)
        if index is None or index >= len(self._records):
            return None
        return self._attachments.content(self._records[index].fields)

    def _message(self, rank: int) -> TypeMessage:
        record = self._records[rank]
        return self._converter.message(rank, record.message_id, record.timestamp, record.fields)


def _peer(entity: TypeChat) -> tl.TypePeer:
    if isinstance(entity, tl.User):
        return tl.PeerUser(entity.id)
    return tl.PeerChannel(entity.id) if isinstance(entity, tl.Channel) else tl.PeerChat(entity.id)
