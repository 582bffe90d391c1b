from bisect import bisect_left
from itertools import groupby
from math import inf

import pytest
from telethon.extensions import BinaryReader
from telethon.tl import types as tl

from tg_pipeline.simulator.world import Chat, TypeMessage
from tg_pipeline.simulator.worlds.comments import comment_ranks, copy_rank, post_and_comment
from tg_pipeline.simulator.worlds.demo import build_world

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def channel() -> Chat:
    chat = build_world(3, NOW).by_username("demo_channel")
    assert chat is not None
    return chat


@pytest.fixture(scope="module")
def group() -> Chat:
    chat = build_world(3, NOW).by_username("demo_channel_chat")
    assert chat is not None
    return chat


@pytest.fixture(scope="module")
def posts(channel: Chat) -> list[TypeMessage]:
    return list(channel.messages(0, 1_500, NOW))


@pytest.fixture(scope="module")
def talk(group: Chat) -> list[TypeMessage]:
    return list(group.messages(0, 4_900, NOW))


def test_posts_and_copies_survive_the_wire(posts: list[TypeMessage], talk: list[TypeMessage]) -> None:
    for message in (*posts, *talk[::2]):
        assert bytes(BinaryReader(bytes(message)).tgread_object()) == bytes(message)


def test_posts_carry_what_channels_have(posts: list[TypeMessage]) -> None:
    texts = [message for message in posts if isinstance(message, tl.Message)]
    assert all(message.post and message.from_id is None and message.views for message in texts)
    assert {message.post_author for message in texts} == {None, "Ana Silva", "Борис Ковалёв", "編集部"}
    media = {type(message.media) for message in texts}
    assert media >= {
        tl.MessageMediaPhoto,
        tl.MessageMediaDocument,
        tl.MessageMediaPoll,
        tl.MessageMediaWebPage,
        type(None),
    }
    for field in ("reactions", "fwd_from", "edit_date", "forwards", "grouped_id"):
        assert any(getattr(message, field) for message in texts), field
    assert any(isinstance(message, tl.MessageService) for message in posts[1:])


def test_albums_are_two_to_four_photos_of_one_moment_with_one_text(posts: list[TypeMessage]) -> None:
    parts = [message for message in posts if getattr(message, "grouped_id", None)]
    albums = [list(album) for _, album in groupby(parts, key=lambda message: message.grouped_id)]
    assert len(albums) > 50
    assert {len(album) for album in albums} == {2, 3, 4}
    for album in albums:
        assert len({message.date for message in album}) == 1
        assert all(isinstance(message.media, tl.MessageMediaPhoto) for message in album)
        assert not any(message.message for message in album[1:])
        assert not any(message.replies for message in album[1:])
    assert len({album[0].grouped_id for album in albums}) == len(albums)


def test_dates_ascend_in_channel_and_group(posts: list[TypeMessage], talk: list[TypeMessage]) -> None:
    for messages in (posts, talk):
        assert [message.date for message in messages] == sorted(message.date for message in messages)


def test_group_layout_is_that_of_laying_it_out_post_by_post() -> None:
    laid_out = [(post, comment) for post in range(50) for comment in range(1 + len(comment_ranks(post)))]
    assert [post_and_comment(rank) for rank in range(len(laid_out))] == laid_out
    assert [copy_rank(post) for post in range(50)] == [laid_out.index((post, 0)) for post in range(50)]


def test_ranks_of_dates_agree_with_the_messages_of_the_group(group: Chat, talk: list[TypeMessage]) -> None:
    dates = [message.date.timestamp() for message in talk]
    moments = {dates[0] - 1, *dates[::29], *(date + 0.5 for date in dates[::31] if date < dates[-1])}
    for moment in moments:
        assert group.rank_of_date(moment, NOW) == bisect_left(dates, moment)
    assert group.rank_of_date(inf, inf) == group.size(inf)


def test_every_post_is_copied_to_the_group_at_once(
    channel: Chat, posts: list[TypeMessage], talk: list[TypeMessage]
) -> None:
    copies = {message.fwd_from.channel_post: message for message in talk if _is_copy(message, channel)}
    texts = [message for message in posts[:1_000] if isinstance(message, tl.Message)]
    for post in texts:
        copy = copies[post.id]
        assert (copy.date, copy.message, copy.fwd_from.saved_from_msg_id) == (post.date, post.message, post.id)
        assert copy.from_id == channel.peer
    assert not {message.id for message in posts if isinstance(message, tl.MessageService)} & copies.keys()


def test_the_comments_a_post_counts_hang_under_its_copy(
    channel: Chat, group: Chat, posts: list[TypeMessage], talk: list[TypeMessage]
) -> None:
    roots = {message.fwd_from.channel_post: message.id for message in talk if _is_copy(message, channel)}
    counted = 0
    for post in posts[:1_000]:
        if not getattr(post, "replies", None):
            continue
        comments = [talk[rank] for rank in group.replies(roots[post.id], NOW)]
        assert len(comments) == post.replies.replies
        assert post.replies.channel_id == group.entity.id
        for comment in comments:
            header = comment.reply_to
            assert roots[post.id] == (header.reply_to_top_id or header.reply_to_msg_id)
        counted += len(comments)
    assert counted > 1_000
    answered = sum(bool(message.reply_to) for message in talk)
    assert answered >= counted
    comment = next(message for message in talk if message.reply_to)
    assert list(group.replies(comment.id, NOW)) == []


def test_channel_and_group_name_each_other(channel: Chat, group: Chat) -> None:
    assert channel.full(NOW).full_chat.linked_chat_id == group.entity.id
    assert group.full(NOW).full_chat.linked_chat_id == channel.entity.id
    assert {chat.id for chat in channel.full(NOW).chats} == {channel.entity.id, group.entity.id}


def test_the_channel_is_known_where_its_copies_name_it(channel: Chat, group: Chat, talk: list[TypeMessage]) -> None:
    assert channel.entity in group.people(talk[:50])


def _is_copy(message: TypeMessage, channel: Chat) -> bool:
    return isinstance(message, tl.Message) and message.from_id == channel.peer
