"""Peers: from what a client names to a chat or a user, and the methods that answer with them."""

import re

from telethon import utils
from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.methods.registry import Call, handles
from tg_pipeline.simulator.world import Chat, World

USERNAME = re.compile(r"[a-z][a-z0-9_]{2,30}[a-z0-9]", re.IGNORECASE)


def find_chat(world: World, peer: object) -> tuple[int, Chat] | None:
    """The chat that an input peer (or input channel) names, with its marked id; None for a wrong id or hash."""
    if isinstance(peer, tl.InputPeerSelf | tl.InputUserSelf):
        peer = tl.InputPeerUser(world.self_user.id, world.self_user.access_hash)
    try:
        marked_id = utils.get_peer_id(peer)
    except TypeError:
        return None
    chat = world.chats.get(marked_id)
    if chat is None or getattr(peer, "access_hash", None) != getattr(chat.entity, "access_hash", None):
        return None
    return marked_id, chat


def chat_of(call: Call, peer: object) -> tuple[int, Chat]:
    """As `find_chat`; refuses what names no chat with the error that Telegram gives for its kind."""
    found = find_chat(call.world, peer)
    if found is None:
        channel = isinstance(peer, tl.InputPeerChannel | tl.InputChannel | tl.InputChannelEmpty)
        raise RpcError(400, "CHANNEL_INVALID" if channel else "PEER_ID_INVALID")
    return found


def user_of(call: Call, user: object) -> tl.User | None:
    """The user that an input user names, if the account has met them."""
    if isinstance(user, tl.InputUserSelf | tl.InputPeerSelf):
        return call.world.self_user
    if not isinstance(user, tl.InputUser | tl.InputPeerUser):
        return None
    if user.user_id == call.world.self_user.id:
        return call.world.self_user
    chat = call.world.chats.get(user.user_id)
    known = chat.entity if chat else call.server.people.user(user.user_id)
    return known if known is not None and known.access_hash == user.access_hash else None


@handles(functions.contacts.ResolveUsernameRequest)
def resolve_username(call: Call) -> object:
    """The peer of a username. Refuses with USERNAME_INVALID or USERNAME_NOT_OCCUPIED."""
    username = call.request.username
    chat = call.world.by_username(username) if username else None
    if chat is not None:
        in_users = isinstance(chat.peer, tl.PeerUser)
        return tl.contacts.ResolvedPeer(chat.peer, [] if in_users else [chat.entity], [chat.entity] if in_users else [])
    me = call.world.self_user
    if me.username and me.username.lower() == username.lower():
        return tl.contacts.ResolvedPeer(tl.PeerUser(me.id), [], [me])
    raise RpcError(400, "USERNAME_NOT_OCCUPIED" if USERNAME.fullmatch(username) else "USERNAME_INVALID")


@handles(functions.users.GetUsersRequest)
def get_users(call: Call) -> object:
    """The users named, with UserEmpty in the place of an unknown one."""
    return [user_of(call, item) or tl.UserEmpty(getattr(item, "user_id", 0)) for item in call.request.id]


@handles(functions.users.GetFullUserRequest)
def get_full_user(call: Call) -> object:
    """One user's profile. Refuses with USER_ID_INVALID."""
    user = user_of(call, call.request.id)
    if user is None:
        raise RpcError(400, "USER_ID_INVALID")
    full = tl.UserFull(user.id, tl.PeerSettings(), tl.PeerNotifySettings(), common_chats_count=0)
    return tl.users.UserFull(full, chats=[], users=[user])


@handles(functions.channels.GetChannelsRequest)
def get_channels(call: Call) -> object:
    """The channels named. Refuses with CHANNEL_INVALID."""
    return tl.messages.Chats([chat_of(call, item)[1].entity for item in call.request.id])


@handles(functions.messages.GetChatsRequest)
def get_chats(call: Call) -> object:
    """The basic groups named by bare id. Refuses with CHAT_ID_INVALID."""
    chats = [call.world.chats.get(-chat_id) for chat_id in call.request.id]
    if None in chats:
        raise RpcError(400, "CHAT_ID_INVALID")
    return tl.messages.Chats([chat.entity for chat in chats if chat])


@handles(functions.channels.GetFullChannelRequest)
def get_full_channel(call: Call) -> object:
    """A channel or supergroup with its linked chat, migration and counts. Refuses with CHANNEL_INVALID."""
    return chat_of(call, call.request.channel)[1].full(call.now)


@handles(functions.messages.GetFullChatRequest)
def get_full_chat(call: Call) -> object:
    """A basic group. Refuses with CHAT_ID_INVALID."""
    chat = call.world.chats.get(-call.request.chat_id)
    if chat is None:
        raise RpcError(400, "CHAT_ID_INVALID")
    return chat.full(call.now)
