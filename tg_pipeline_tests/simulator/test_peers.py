"""Naming chats and users, and reading about them."""

from collections.abc import Iterator

import pytest
from telethon import errors, functions
from telethon.tl import types as tl

from tg_pipeline.simulator import Simulator
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline_tests.simulator.clients import connected, history

NOW = 1_750_000_000.0


@pytest.fixture(scope="module")
def demo() -> Iterator[Simulator]:
    with Simulator(build_world(0, NOW, lambda: NOW), clock=lambda: NOW) as simulator:
        yield simulator


async def test_a_username_is_resolved_without_regard_to_case(sim: Simulator, chat: Overlay) -> None:
    async with connected(sim) as client:
        found = await client(functions.contacts.ResolveUsernameRequest("ALPHA"))
        assert found.peer == chat.peer
        assert found.chats[0].access_hash == chat.entity.access_hash
        myself = await client(functions.contacts.ResolveUsernameRequest("Me_Myself"))
        assert myself.users[0].is_self


async def test_a_renamed_chat_is_found_under_its_new_name_only(sim: Simulator, chat: Overlay) -> None:
    sim.call(lambda: chat.rename("gamma"))
    async with connected(sim) as client:
        assert (await client(functions.contacts.ResolveUsernameRequest("gamma"))).peer == chat.peer
        with pytest.raises(errors.UsernameNotOccupiedError):
            await client(functions.contacts.ResolveUsernameRequest("alpha"))


@pytest.mark.parametrize(
    ("name", "error"), [("nobody_here", errors.UsernameNotOccupiedError), ("no!", errors.UsernameInvalidError)]
)
async def test_a_name_of_nobody_is_refused(sim: Simulator, name: str, error: type) -> None:
    async with connected(sim) as client:
        with pytest.raises(error):
            await client(functions.contacts.ResolveUsernameRequest(name))


async def test_users_are_known_once_a_message_has_shown_them(sim: Simulator) -> None:
    async with connected(sim) as client:
        page = await client(history(await client.get_input_entity("alpha"), limit=1))
        sender = page.users[0]
        named = [
            tl.InputUser(sender.id, sender.access_hash),
            tl.InputUser(sender.id, 1),
            tl.InputUser(5, 5),
            tl.InputUserSelf(),
            tl.InputUserEmpty(),
        ]
        found = await client(functions.users.GetUsersRequest(named))
        assert [type(user) for user in found] == [tl.User, tl.UserEmpty, tl.UserEmpty, tl.User, tl.UserEmpty]
        full = await client(functions.users.GetFullUserRequest(tl.InputUserSelf()))
        assert full.users[0].username == "me_myself"
        with pytest.raises(errors.UserIdInvalidError):
            await client(functions.users.GetFullUserRequest(tl.InputUser(5, 5)))


async def test_channels_and_groups_are_described(demo: Simulator) -> None:
    async with connected(demo) as client:
        channel = await client.get_input_entity("demo_channel")
        full = await client(functions.channels.GetFullChannelRequest(channel))
        group = await client.get_entity("demo_channel_chat")
        assert full.full_chat.linked_chat_id == group.id
        listed = await client(functions.channels.GetChannelsRequest([channel]))
        assert [entity.id for entity in listed.chats] == [channel.channel_id]
        moved = await client(functions.channels.GetFullChannelRequest(await client.get_input_entity("demo_moved")))
        old = moved.full_chat.migrated_from_chat_id
        assert (await client(functions.messages.GetChatsRequest([old]))).chats[0].id == old
        assert (await client(functions.messages.GetFullChatRequest(old))).full_chat.id == old
        page = await client(history(tl.InputPeerChat(old), limit=1))
        assert isinstance(page, tl.messages.MessagesSlice)
        for request in (functions.messages.GetChatsRequest([5]), functions.messages.GetFullChatRequest(5)):
            with pytest.raises(errors.ChatIdInvalidError):
                await client(request)


async def test_dialogs_are_listed_in_pages(demo: Simulator) -> None:
    async with connected(demo) as client:
        everything = await client.get_dialogs()
        assert {dialog.id for dialog in everything} == set(demo.world.chats)
        dates = [dialog.date.timestamp() if dialog.date else 0 for dialog in everything]
        assert dates == sorted(dates, reverse=True)
        assert everything[0].message.id == everything[0].dialog.top_message
        request = functions.messages.GetDialogsRequest(None, 0, tl.InputPeerEmpty(), 3, 0)
        first = await client(request)
        assert isinstance(first, tl.messages.DialogsSlice)
        assert first.count == len(everything)
        request.offset_peer = everything[2].input_entity
        second = await client(request)
        assert [dialog.peer for dialog in second.dialogs] == [dialog.dialog.peer for dialog in everything[3:6]]
        request.offset_peer = tl.InputPeerSelf()
        assert (await client(request)).dialogs == []


async def test_messages_are_read_by_id_with_empty_ones_for_the_gone(demo: Simulator) -> None:
    async with connected(demo) as client:
        busy = await client.get_input_entity("demo_busy")
        beyond = 10**8
        found = await client(
            functions.channels.GetMessagesRequest(busy, [tl.InputMessageID(5), tl.InputMessageID(beyond)])
        )
        assert [type(message) for message in found.messages] == [tl.Message, tl.MessageEmpty]
        friend = (await client(history(await client.get_input_entity("demo_friend"), limit=1))).messages[0]
        found = await client(
            functions.messages.GetMessagesRequest([tl.InputMessageID(friend.id), tl.InputMessageID(beyond)])
        )
        assert found.messages[0].message == friend.message
        assert isinstance(found.messages[1], tl.MessageEmpty)
        too_many = [tl.InputMessageID(number) for number in range(101)]
        with pytest.raises(errors.BadRequestError, match="MESSAGE_IDS_INVALID"):
            await client(functions.messages.GetMessagesRequest(too_many))


async def test_comments_are_read_through_the_post(demo: Simulator) -> None:
    async with connected(demo) as client:
        channel = await client.get_input_entity("demo_channel")
        posts = (await client(history(channel))).messages
        post = next(one for one in posts if one.replies and one.replies.replies > 1)
        comments = await client.get_messages(channel, reply_to=post.id, limit=1000)
        assert len(comments) == post.replies.replies
        found = await client(functions.messages.GetDiscussionMessageRequest(channel, post.id))
        copy = found.messages[0]
        assert copy.fwd_from.channel_post == post.id
        assert {comment.reply_to.reply_to_top_id or comment.reply_to.reply_to_msg_id for comment in comments} == {
            copy.id
        }
        group = tl.InputPeerChannel(copy.peer_id.channel_id, found.chats[1].access_hash)
        replies = await client.get_messages(group, reply_to=copy.id, limit=1, reverse=True)
        assert replies[0].id == min(comment.id for comment in comments)


async def test_a_thread_that_is_not_there_is_refused(demo: Simulator) -> None:
    async with connected(demo) as client:
        channel = await client.get_input_entity("demo_channel")
        busy = await client.get_input_entity("demo_busy")
        creation = (await client(history(channel, offset_id=2, limit=1))).messages[0]
        for peer, message_id in ((channel, creation.id), (channel, 10**8), (busy, 10**8)):
            with pytest.raises(errors.MsgIdInvalidError):
                await client.get_messages(peer, reply_to=message_id, limit=1)
        for peer in (channel, busy):
            with pytest.raises(errors.MsgIdInvalidError):
                await client(functions.messages.GetDiscussionMessageRequest(peer, 10**8))


async def test_forum_topics_are_listed_with_their_newest_message(demo: Simulator) -> None:
    async with connected(demo) as client:
        busy = await client.get_input_entity("demo_busy")
        answer = await client(functions.messages.GetForumTopicsRequest(busy, None, 0, 0, 100))
        assert answer.count == len(answer.topics) > 1
        by_id = {message.id: message for message in answer.messages}
        for topic in answer.topics:
            assert by_id[topic.top_message].date.timestamp() > NOW - 86_400
        second = await client(functions.messages.GetForumTopicsRequest(busy, None, 0, answer.topics[0].id, 1))
        assert [topic.id for topic in second.topics] == [answer.topics[1].id]
        title = answer.topics[1].title
        searched = await client(functions.messages.GetForumTopicsRequest(busy, None, 0, 0, 100, q=title.upper()))
        assert [topic.title for topic in searched.topics] == [title]
        some = await client(functions.messages.GetForumTopicsByIDRequest(busy, [answer.topics[0].id, 10**8]))
        assert [type(topic) for topic in some.topics] == [tl.ForumTopic, tl.ForumTopicDeleted]
        newest = (await client.get_messages(busy, reply_to=answer.topics[0].id, limit=1))[0]
        assert newest.id == answer.topics[0].top_message
        quiet = await client.get_input_entity("demo_quiet")
        with pytest.raises(errors.ChannelForumMissingError):
            await client(functions.messages.GetForumTopicsRequest(quiet, None, 0, 0, 100))


async def test_a_takeout_is_opened_used_and_finished(demo: Simulator) -> None:
    async with connected(demo) as client:
        async with client.takeout(contacts=True) as takeout:
            assert len(await takeout.get_messages("demo_quiet", limit=5)) == 5
        request = functions.InvokeWithTakeoutRequest(1, functions.users.GetUsersRequest([tl.InputUserSelf()]))
        with pytest.raises(errors.TakeoutInvalidError):
            await client(request)
        with pytest.raises(errors.TakeoutRequiredError):
            await client(functions.account.FinishTakeoutSessionRequest(success=True))
    names = [entry["method"] for entry in demo.journal]
    assert "account.initTakeoutSession" in names
    assert "invokeWithTakeout" not in names


async def test_the_nearest_data_centre_is_the_one_asked(sim: Simulator) -> None:
    async with connected(sim) as client:
        assert (await client(functions.help.GetNearestDcRequest())).this_dc == 2


async def test_no_difference_is_ever_missed(sim: Simulator) -> None:
    async with connected(sim) as client:
        channel = await client.get_input_entity("alpha")
        request = functions.updates.GetChannelDifferenceRequest(channel, tl.ChannelMessagesFilterEmpty(), 5, 10)
        assert await client(request) == tl.updates.ChannelDifferenceEmpty(pts=5, final=True)
