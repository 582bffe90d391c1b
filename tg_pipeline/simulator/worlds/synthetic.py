"""Chats in closed form: id, date and content of any rank are computed, nothing is stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zlib import crc32

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeChat, TypeMessage
from tg_pipeline.simulator.worlds.content import Content
from tg_pipeline.simulator.worlds.draws import derive, draw
from tg_pipeline.simulator.worlds.entities import full_channel, supergroup
from tg_pipeline.simulator.worlds.ids import Gaps, IdPattern
from tg_pipeline.simulator.worlds.media import file_bytes, file_id_of
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.people import USER_IDS_FROM, People
from tg_pipeline.simulator.worlds.text import FRAGMENTS
from tg_pipeline.simulator.worlds.timeline import DailyTimeline, Timeline, size_at

DEFAULT_GAPS = Gaps(visible=47, missing=3)


@dataclass(frozen=True)
class SyntheticChat:
    """A `Chat` made of a timeline, an id pattern and a content; `describe` answers getFullChannel from the last id."""

    peer: tl.PeerChannel | tl.PeerChat | tl.PeerUser
    entity: TypeChat
    timeline: Timeline
    ids: IdPattern
    content: Content
    directory: People
    describe: Callable[[int], tl.messages.ChatFull]

    @property
    def username(self) -> str | None:
        """Without the at sign; basic groups have none."""
        name: str | None = getattr(self.entity, "username", None)
        return name

    @property
    def revision(self) -> int:
        """0: what exists never changes."""
        return 0

    def size(self, now: float) -> int:
        """How many messages exist at `now`."""
        return size_at(self.timeline, now)

    def rank_of_id(self, message_id: int, now: float) -> int:
        """How many messages have an id lower than `message_id`."""
        return min(self.ids.rank_of(message_id), self.size(now))

    def rank_of_date(self, timestamp: float, now: float) -> int:
        """How many messages precede the first one dated at `timestamp` or later."""
        return min(self.timeline.rank_of_date(timestamp), self.size(now))

    def messages(self, start: int, stop: int, now: float) -> Sequence[TypeMessage]:
        """The messages of ranks start..stop-1, ascending by id."""
        ranks = range(max(0, start), min(stop, self.size(now)))
        make, id_of, date_of = self.content.message, self.ids.id_of, self.timeline.date
        return [make(rank, id_of(rank), date_of(rank)) for rank in ranks]

    def people(self, messages: Iterable[TypeMessage]) -> Sequence[TypeChat]:
        """Users and other chats that these messages refer to, each once."""
        return self.directory.named_in(messages)

    def full(self, now: float) -> tl.messages.ChatFull:
        """The answer to getFullChannel or getFullChat."""
        size = self.size(now)
        return self.describe(self.ids.id_of(size - 1) if size else 0)

    def topics(self) -> Sequence[tl.ForumTopic]:
        """Forum topics besides General."""
        return self.content.topics()

    def replies(self, root_id: int, now: float) -> Sequence[int]:
        """Ranks, ascending, of the messages in the thread or topic under `root_id`."""
        rank = self.ids.rank_of(root_id)
        if self.ids.id_of(rank) != root_id:
            return ()
        return self.content.replies(rank, self.size(now))

    def file(self, file_id: int) -> bytes | None:
        """The bytes of a photo or document of this chat, None where there is no such file."""
        rank = self.content.file_rank(file_id)
        if rank is None:
            return None
        message = self.content.message(rank, self.ids.id_of(rank), self.timeline.date(rank))
        return file_bytes(file_id) if file_id_of(message) == file_id else None


class PlainContent(Content):
    """The cheapest messages: a text of one fragment and the rank. For tests and benchmarks of bulk."""

    def __init__(self, seed: int, peer: tl.PeerChannel) -> None:
        super().__init__(seed)
        self._peer = peer
        self._senders = [tl.PeerUser(USER_IDS_FROM + n) for n in range(256)]

    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""
        bits = draw(self._seed, rank)
        piece = FRAGMENTS[bits & 31]
        return tl.Message(
            id=message_id,
            peer_id=self._peer,
            date=datetime.fromtimestamp(timestamp, UTC),
            message=f"{piece.text} {rank}",
            from_id=self._senders[bits >> 8 & 255],
            entities=[make(offset, length) for make, offset, length in piece.entities],
        )


def synthetic_chat(  # noqa: PLR0913 -- all but the name have defaults
    username: str,
    *,
    seed: int = 0,
    per_day: int | Mapping[date, int] | Callable[[date], int] = 100,
    first_day: date = date(2024, 1, 1),
    last_day: date = date(2024, 12, 31),
    gaps: Gaps = DEFAULT_GAPS,
    on_edges: bool = False,
    content: Callable[[int, tl.Channel, IdPattern], Content] | None = None,
) -> Overlay:
    """A public supergroup with `per_day` messages on each UTC day from `first_day` to `last_day`.

    Ten million messages cost no more than one; days absent from a mapping have none. `content` makes richer messages
    than the default plain ones, for instance `GroupContent`.
    """
    bare_id = 1_500_000_000 + crc32(username.lower().encode()) % 500_000_000
    entity = supergroup(seed, bare_id, username, username)
    own = derive(seed, username.lower())
    days = (first_day + timedelta(days=n) for n in range((last_day - first_day).days + 1))
    ids = IdPattern(derive(own, "ids"), gaps)
    timeline = DailyTimeline(first_day, [_count(per_day, day) for day in days], derive(own, "dates"), on_edges=on_edges)
    return Overlay(
        SyntheticChat(
            peer=tl.PeerChannel(bare_id),
            entity=entity,
            timeline=timeline,
            ids=ids,
            content=content(own, entity, ids) if content else PlainContent(own, tl.PeerChannel(bare_id)),
            directory=People(seed),
            describe=lambda last_id: full_channel(entity, last_id),
        ),
    )


def _count(per_day: int | Mapping[date, int] | Callable[[date], int], day: date) -> int:
    if isinstance(per_day, int):
        return per_day
    return per_day.get(day, 0) if isinstance(per_day, Mapping) else per_day(day)
