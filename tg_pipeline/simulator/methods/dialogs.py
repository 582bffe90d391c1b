"""messages.getDialogs: the account's chats, the one with the newest message first."""

import struct

from telethon import utils
from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.methods.history import PAGE_LIMIT, PTS, UNKNOWN_TYPE
from tg_pipeline.simulator.methods.registry import Call, handles
from tg_pipeline.simulator.mtproto import vector
from tg_pipeline.simulator.serialiser import PersonKey
from tg_pipeline.simulator.world import Chat


@handles(functions.messages.GetDialogsRequest)
def get_dialogs(call: Call) -> object:
    """A page of dialogs with their newest messages, behind that of `offset_peer`, or else older than `offset_date`."""
    dated = [(_newest_at(chat, call.now), chat_id, chat) for chat_id, chat in call.world.chats.items()]
    dated.sort(key=lambda one: -one[0])
    moment = call.request.offset_date.timestamp() if call.request.offset_date else 0
    if isinstance(call.request.offset_peer, tl.InputPeerEmpty) and moment:
        dated = [one for one in dated if one[0] < moment]
    chats = [(chat_id, chat) for _, chat_id, chat in dated]
    start = _start(call, [chat_id for chat_id, _ in chats])
    page = chats[start : start + max(1, min(call.request.limit, PAGE_LIMIT))]
    dialogs, messages = [], []
    mentioned: list[PersonKey] = []
    for chat_id, chat in page:
        size = chat.size(call.now)
        newest = call.server.serialiser.ranks(chat_id, chat, max(0, size - 1), size, call.now)
        dialogs.append(bytes(_dialog(chat, newest[0].message_id if newest else 0)))
        mentioned.append(call.server.people.remember(chat.entity))
        for message in newest:
            odd = message.message_id in call.undecodable
            messages.append(UNKNOWN_TYPE + message.body[4:] if odd else message.body)
            mentioned.extend(message.people)
    if len(page) == len(call.world.chats):
        head = struct.pack("<I", tl.messages.Dialogs.CONSTRUCTOR_ID)
    else:
        head = struct.pack("<Ii", tl.messages.DialogsSlice.CONSTRUCTOR_ID, len(call.world.chats))
    return b"".join((head, vector(dialogs), vector(messages), call.server.people.vectors(mentioned)))


def _newest_at(chat: Chat, now: float) -> float:
    size = chat.size(now)
    return max((message.date.timestamp() for message in chat.messages(size - 1, size, now)), default=0) if size else 0


def _start(call: Call, chat_ids: list[int]) -> int:
    peer = call.request.offset_peer
    if isinstance(peer, tl.InputPeerEmpty):
        return 0
    marked_id = call.world.self_user.id if isinstance(peer, tl.InputPeerSelf) else utils.get_peer_id(peer)
    return chat_ids.index(marked_id) + 1 if marked_id in chat_ids else len(chat_ids)


def _dialog(chat: Chat, top_message: int) -> tl.Dialog:
    return tl.Dialog(
        peer=chat.peer,
        top_message=top_message,
        read_inbox_max_id=top_message,
        read_outbox_max_id=top_message,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=tl.PeerNotifySettings(),
        pts=PTS if isinstance(chat.peer, tl.PeerChannel) else None,
    )
