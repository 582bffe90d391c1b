"""Peers between Telegram's objects and ours."""

from typing import Any

from telethon.tl import types as tl

from tg_pipeline.contracts.chat import Peer, PeerKind


def input_peer(peer: Peer) -> tl.InputPeerChannel | tl.InputPeerChat | tl.InputPeerUser:
    """The peer as requests want it."""
    match peer.kind:
        case "channel":
            return tl.InputPeerChannel(peer.id, peer.access_hash)
        case "chat":
            return tl.InputPeerChat(peer.id)
        case "user":
            return tl.InputPeerUser(peer.id, peer.access_hash)


def peer_of(entity: Any) -> Peer | None:
    """The peer an answer's user or chat object describes; None for one that cannot be addressed (empty, or `min`)."""
    if getattr(entity, "min", False):
        return None
    match entity:
        case tl.User():
            names = (entity.first_name, entity.last_name)
            title = " ".join(n for n in names if n) or None
            return Peer("user", entity.id, entity.access_hash or 0, username_of(entity), title)
        case tl.Channel():
            return Peer("channel", entity.id, entity.access_hash or 0, username_of(entity), entity.title)
        case tl.ChannelForbidden():
            return Peer("channel", entity.id, entity.access_hash, None, entity.title)
        case tl.Chat() | tl.ChatForbidden():
            return Peer("chat", entity.id, 0, None, entity.title)
        case _:
            return None


def peer_in(answer: Any, peer: Any) -> Peer | None:
    """The one among the users and chats of an answer that a TL peer names."""
    wanted = _kind_and_id(peer)
    found = (p for e in (*answer.chats, *answer.users) if (p := peer_of(e)))
    return next((p for p in found if (p.kind, p.id) == wanted), None)


def username_of(entity: Any) -> str | None:
    """The main username: the plain one, or the first active of the several an owner may buy."""
    if entity.username:
        return str(entity.username)
    return next((str(u.username) for u in getattr(entity, "usernames", None) or () if u.active), None)


def _kind_and_id(peer: Any) -> tuple[PeerKind, int]:
    match peer:
        case tl.PeerChannel():
            return "channel", peer.channel_id
        case tl.PeerChat():
            return "chat", peer.chat_id
        case _:
            return "user", peer.user_id
