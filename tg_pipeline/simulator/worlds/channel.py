"""What a channel publishes, and what its linked group says about it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds import media
from tg_pipeline.simulator.worlds.bodies import POSTS
from tg_pipeline.simulator.worlds.comments import comment_ranks
from tg_pipeline.simulator.worlds.content import Content
from tg_pipeline.simulator.worlds.draws import draw
from tg_pipeline.simulator.worlds.reactions import reactions
from tg_pipeline.simulator.worlds.timeline import DailyTimeline

AUTHORS = ("Ana Silva", "Борис Ковалёв", "編集部")
ALBUM_SLOT = 5
"""A day is cut into slots of five messages; one slot in four begins with an album of two to four."""

SERVICE_SHARE = 6
"""Of 1024 posts, how many are service messages."""


class AlbumTimeline(DailyTimeline):
    """A day's messages with albums among them; the parts of an album share one date."""

    def album(self, rank: int) -> range | None:
        """The ranks of the album that a rank belongs to; None for a single message."""
        _, position, count = self.place(rank)
        parts = self._album(rank, position, count)
        return parts if rank in parts else None

    def _album(self, rank: int, position: int, count: int) -> range:
        leader = rank - position % ALBUM_SLOT
        bits = draw(self._seed, leader) >> 32
        size = min(2 + (bits >> 2) % 3, count - position + position % ALBUM_SLOT)
        return range(leader, leader + size) if not bits & 3 and size > 1 and leader else range(0)

    def _second(self, rank: int, position: int, count: int) -> int:
        parts = self._album(rank, position, count)
        shift = rank - parts.start if rank in parts else 0
        return super()._second(rank - shift, position - shift, count)


class ChannelContent(Content):
    """Posts with views, reactions, albums, authors and comment counts. Rank 0 creates the channel."""

    def __init__(self, seed: int, entity: tl.Channel, timeline: AlbumTimeline, group_id: int) -> None:
        """`group_id` is the bare id of the linked group."""
        super().__init__(seed)
        self._entity = entity
        self._timeline = timeline
        self._group_id = group_id

    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""
        bits = draw(self._seed, rank)
        common = {
            "id": message_id,
            "peer_id": tl.PeerChannel(self._entity.id),
            "date": datetime.fromtimestamp(timestamp, UTC),
            "post": True,
        }
        album = self._timeline.album(rank)
        if rank == 0:
            return tl.MessageService(action=tl.MessageActionChannelCreate(title=self._entity.title), **common)
        if _is_service(album, bits):
            return tl.MessageService(action=tl.MessageActionChatEditTitle(title=self._entity.title), **common)
        fields = POSTS[bits >> 36 & 1023](bits, self._lane | rank, timestamp)
        if album is not None:
            caption = fields if rank == album.start else {"message": ""}
            fields = {
                **caption,
                "media": media.photo(self._lane | rank, timestamp),
                "grouped_id": self._lane | album.start,
            }
            fields.pop("fwd_from", None)
        views = 500 + (bits >> 20) % 9_500
        if not bits >> 10 & 15 and fields["message"]:
            fields["edit_date"] = datetime.fromtimestamp(timestamp + 1 + (bits >> 40) % 20, UTC)
        return tl.Message(
            views=views,
            forwards=views >> 6,
            reactions=reactions(bits >> 32) if bits >> 14 & 1 else None,
            post_author=AUTHORS[bits >> 16 & 3] if bits >> 16 & 3 < len(AUTHORS) else None,
            replies=self._replies_info(rank, album),
            **common,
            **fields,
        )

    def root(self, rank: int) -> int | None:
        """The rank of the post under which comments to this one hang: an album's first; None for a service message."""
        album = self._timeline.album(rank)
        if rank == 0 or _is_service(album, draw(self._seed, rank)):
            return None
        return rank if album is None else album.start

    def thread(self, root: int) -> Sequence[int]:
        """The ranks in the linked group of the comments under that post."""
        posts = self._timeline.album(root) or (root,)
        return [*chain.from_iterable(comment_ranks(post) for post in posts)]

    def _replies_info(self, rank: int, album: range | None) -> tl.MessageReplies | None:
        if album is not None and rank != album.start:
            return None
        count = len(self.thread(rank))
        return tl.MessageReplies(replies=count, replies_pts=count, comments=True, channel_id=self._group_id)


def _is_service(album: range | None, bits: int) -> bool:
    return album is None and bits & 1023 < SERVICE_SHARE
