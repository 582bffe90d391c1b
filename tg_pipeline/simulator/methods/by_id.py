"""getMessages: messages by id, with MessageEmpty in the place of those that are gone."""

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.history import PAGE_LIMIT, messages_answer
from tg_pipeline.simulator.methods.peers import chat_of
from tg_pipeline.simulator.methods.registry import Call, handles
from tg_pipeline.simulator.serialiser import Serialised
from tg_pipeline.simulator.world import Chat


def message_by_id(call: Call, chat_id: int, chat: Chat, message_id: int) -> Serialised | None:
    """One message of a chat, None where it is gone or never was."""
    rank = chat.rank_of_id(message_id, call.now)
    if rank >= chat.size(call.now):
        return None
    found = call.server.serialiser.ranks(chat_id, chat, rank, rank + 1, call.now)[0]
    return found if found.message_id == message_id else None


@handles(functions.channels.GetMessagesRequest)
def get_channel_messages(call: Call) -> object:
    """Messages of a channel or supergroup, in the order of the ids asked for."""
    chat_id, chat = chat_of(call, call.request.channel)
    found = [message_by_id(call, chat_id, chat, number) or _empty(number, chat.peer) for number in _ids(call)]
    return messages_answer(call, [chat], found, len(found), in_channel=True)


@handles(functions.messages.GetMessagesRequest)
def get_messages(call: Call) -> object:
    """Messages of private chats and basic groups, which share one sequence of ids."""
    chats = [(i, chat) for i, chat in call.world.chats.items() if not isinstance(chat.peer, tl.PeerChannel)]
    answers: list[Serialised] = []
    found_in: list[Chat] = []
    for message_id in _ids(call):
        for chat_id, chat in chats:
            if found := message_by_id(call, chat_id, chat, message_id):
                answers.append(found)
                found_in.append(chat)
                break
        else:
            answers.append(_empty(message_id, tl.PeerUser(call.world.self_user.id)))
    return messages_answer(call, found_in, answers, len(answers), in_channel=False)


def _ids(call: Call) -> list[int]:
    if len(call.request.id) > PAGE_LIMIT:
        raise RpcError(400, "MESSAGE_IDS_INVALID")
    return [item.id for item in call.request.id if isinstance(item, tl.InputMessageID)]


def _empty(message_id: int, peer: tl.TypePeer) -> Serialised:
    # Telethon reads the peer of every message it is given, so an empty one names its chat.
    return Serialised(message_id, bytes(tl.MessageEmpty(message_id, peer_id=peer)), ())
