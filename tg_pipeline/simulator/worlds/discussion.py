"""What the linked group of a channel says: copies of the posts, and comments to them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds.bodies import TALK
from tg_pipeline.simulator.worlds.channel import ChannelContent
from tg_pipeline.simulator.worlds.comments import copy_rank, post_and_comment
from tg_pipeline.simulator.worlds.content import Content
from tg_pipeline.simulator.worlds.draws import draw
from tg_pipeline.simulator.worlds.ids import IdPattern
from tg_pipeline.simulator.worlds.people import USER_IDS_FROM

POPULATION = 150


class DiscussionContent(Content):
    """Messages of the group; rank 0 creates it. A post that is a service message has talk in the place of its copy."""

    def __init__(
        self,
        seed: int,
        group: tl.Channel,
        ids: IdPattern,
        channel: tl.Channel,
        channel_ids: IdPattern,
        posts: ChannelContent,
    ) -> None:
        super().__init__(seed)
        self._group = group
        self._ids = ids
        self._channel = tl.PeerChannel(channel.id)
        self._channel_ids = channel_ids
        self._posts = posts

    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""
        bits = draw(self._seed, rank)
        common = {
            "id": message_id,
            "peer_id": tl.PeerChannel(self._group.id),
            "date": datetime.fromtimestamp(timestamp, UTC),
        }
        post, comment = post_and_comment(rank)
        root = self._posts.root(post)
        if rank == 0:
            return tl.MessageService(action=tl.MessageActionChannelCreate(title=self._group.title), **common)
        if root is not None and comment == 0:
            return tl.Message(from_id=self._channel, **common, **self._copied(post, timestamp))
        return tl.Message(
            from_id=tl.PeerUser(USER_IDS_FROM + (bits >> 24) % POPULATION),
            reply_to=None if root is None else self._reply_to(copy_rank(root), rank, comment, bits),
            **common,
            **TALK[bits >> 36 & 1023](bits, self._lane | rank, timestamp),
        )

    def replies(self, root_rank: int, size: int) -> Sequence[int]:
        """Ranks below `size` of the comments under a post's copy, ascending."""
        post, comment = post_and_comment(root_rank)
        if comment or self._posts.root(post) != post:
            return ()
        return [rank for rank in self._posts.thread(post) if rank < size]

    def _copied(self, post: int, timestamp: int) -> dict[str, Any]:
        post_id = self._channel_ids.id_of(post)
        source = self._posts.message(post, post_id, timestamp)
        origin = tl.MessageFwdHeader(
            date=source.date,
            from_id=self._channel,
            channel_post=post_id,
            post_author=source.post_author,
            saved_from_peer=self._channel,
            saved_from_msg_id=post_id,
        )
        kept = {name: getattr(source, name) for name in ("message", "entities", "media", "grouped_id")}
        return {**kept, "fwd_from": origin}

    def _reply_to(self, root: int, rank: int, comment: int, bits: int) -> tl.MessageReplyHeader:
        root_id = self._ids.id_of(root)
        if comment > 1 and bits >> 16 & 1:
            return tl.MessageReplyHeader(reply_to_msg_id=self._ids.id_of(rank - 1), reply_to_top_id=root_id)
        return tl.MessageReplyHeader(reply_to_msg_id=root_id)
