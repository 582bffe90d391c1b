"""Who is named in an export: people and chats by id, and ids by name where the export gives only the name."""

from collections.abc import Iterable
from typing import Any
from zlib import crc32

from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.exports.fields import Fields, is_id, string
from tg_pipeline.simulator.world import TypeChat, TypeMessage
from tg_pipeline.simulator.worlds.draws import derive
from tg_pipeline.simulator.worlds.entities import access_hash, broadcast
from tg_pipeline.simulator.worlds.people import peers_of

EXPORT_SEED = derive(0, "export")
"""Access hashes of an exported account are drawn from this."""

_UNNAMED_FROM = 900_000_000_000
_OLD_USER, _OLD_CHAT = 1 << 32, 2 << 32


def peer_of(reference: Any) -> tl.TypePeer | None:
    """The peer behind "user123", "channel123" or "chat123"; None where nobody is named.

    Old exports hold a number: the id plus 1 << 32 for users, plus 2 << 32 for chats and channels.
    """
    if type(reference) is int:
        channel = reference >= _OLD_CHAT
        bare_id = reference - _OLD_CHAT if channel else reference - _OLD_USER if reference >= _OLD_USER else reference
        return (tl.PeerChannel if channel else tl.PeerUser)(bare_id) if is_id(bare_id) else None
    for prefix, kind in (("user", tl.PeerUser), ("channel", tl.PeerChannel), ("chat", tl.PeerChat)):
        digits = str(reference or "").removeprefix(prefix)
        if digits != reference and digits.isdecimal() and len(digits) <= 15 and is_id(int(digits)):
            return kind(int(digits))
    return None


class Directory:
    """The people of one exported chat, by marked id."""

    def __init__(self, chat_id: int, me: tl.User) -> None:
        """`chat_id` is the chat's own bare id; before and after a migration it is the same: exports name one only."""
        self.chat_id = chat_id
        self._names: dict[int, str | None] = {}
        self._ids: dict[str, int] = {}
        self._entities: dict[int, TypeChat] = {me.id: me}

    def learn(self, message: Fields) -> None:
        """Remember who a message names; the first name given to somebody stays."""
        for name_key, id_key in (("from", "from_id"), ("actor", "actor_id"), ("forwarded_from", "forwarded_from_id")):
            peer = peer_of(message.get(id_key))
            name = string(message, name_key)
            if peer is not None and name:
                self._names.setdefault(utils.get_peer_id(peer), name)
                if isinstance(peer, tl.PeerUser):
                    self._ids.setdefault(name, peer.user_id)

    def user_id(self, name: str) -> int:
        """The user of that name, or a made-up id that is stable for the name where the export never names it."""
        if name not in self._ids:
            self._ids[name] = _UNNAMED_FROM + crc32(name.encode())
            self._names[self._ids[name]] = name
        return self._ids[name]

    def named_in(self, messages: Iterable[TypeMessage]) -> list[TypeChat]:
        """Everyone the messages refer to, each once, in order of appearance."""
        peers = {utils.get_peer_id(peer): peer for message in messages for peer in peers_of(message)}
        return [self._entity(marked_id, peer) for marked_id, peer in peers.items()]

    def _entity(self, marked_id: int, peer: tl.TypePeer) -> TypeChat:
        if marked_id not in self._entities:
            name = self._names.get(marked_id)
            if isinstance(peer, tl.PeerUser):
                entity = user(peer.user_id, name)
            elif isinstance(peer, tl.PeerChannel):
                entity = broadcast(EXPORT_SEED, peer.channel_id, name or str(peer.channel_id), None)
            else:
                entity = tl.ChatForbidden(id=peer.chat_id, title=name or str(peer.chat_id))
            self._entities[marked_id] = entity
        return self._entities[marked_id]


def user(user_id: int, name: str | None, **fields: Any) -> tl.User:
    """A user; one without a name is a deleted account, as exports show them."""
    return tl.User(
        id=user_id,
        access_hash=access_hash(EXPORT_SEED, user_id),
        first_name=name or None,
        deleted=not name or None,
        photo=tl.UserProfilePhotoEmpty(),
        **fields,
    )
