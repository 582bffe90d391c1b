"""Who is named in an export: people and chats by id, and ids by name where the export gives only the name."""

from collections.abc import Iterable
from typing import Any
from zlib import crc32

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeChat, TypeMessage
from tg_pipeline.simulator.worlds.draws import derive
from tg_pipeline.simulator.worlds.entities import access_hash, broadcast
from tg_pipeline.simulator.worlds.export.fields import Fields
from tg_pipeline.simulator.worlds.people import peers_of

PeerKey = tuple[type, int]
"""Class and bare id: TL peers are not hashable."""

_SEED = derive(0, "export")
_UNNAMED_FROM = 900_000_000_000
_OLD_USER, _OLD_CHAT = 1 << 32, 2 << 32


def peer_of(reference: Any) -> tl.TypePeer | None:
    """The peer behind "user123", "channel123" or "chat123"; None where nobody is named.

    Exports before 2021 wrote a number: the id plus 1 << 32 for users, plus 2 << 32 for chats and channels.
    """
    if isinstance(reference, int):
        if reference >= _OLD_CHAT:
            return tl.PeerChannel(reference - _OLD_CHAT)
        return tl.PeerUser(reference - _OLD_USER if reference >= _OLD_USER else reference)
    for prefix, kind in (("user", tl.PeerUser), ("channel", tl.PeerChannel), ("chat", tl.PeerChat)):
        digits = str(reference or "").removeprefix(prefix)
        if digits != reference and digits.isdecimal():
            return kind(int(digits))
    return None


class Directory:
    """The people of one export file."""

    def __init__(self) -> None:
        self._names: dict[PeerKey, str | None] = {}
        self._ids: dict[str, int] = {}

    def learn(self, message: Fields) -> None:
        """Remember who a message names."""
        for name_key, id_key in (("from", "from_id"), ("actor", "actor_id"), ("forwarded_from", "forwarded_from_id")):
            peer = peer_of(message.get(id_key))
            if peer is not None:
                self.name(peer, message.get(name_key))

    def name(self, peer: tl.TypePeer, name: Any) -> None:
        """Remember one; the first name given stays."""
        text = name if isinstance(name, str) else None
        if self._names.setdefault(_key(peer), text) is None and text is not None:
            self._names[_key(peer)] = text
        if text is not None and isinstance(peer, tl.PeerUser):
            self._ids.setdefault(text, peer.user_id)

    def user_id(self, name: Any) -> int:
        """The user of that name, or a made-up id that is stable for the name where the export never tells it."""
        text = str(name or "")
        if text not in self._ids:
            self.name(tl.PeerUser(_UNNAMED_FROM + crc32(text.encode())), text)
        return self._ids[text]

    def named_in(self, messages: Iterable[TypeMessage]) -> list[TypeChat]:
        """Everyone the messages refer to, each once, in order of appearance."""
        peers = {_key(peer): peer for message in messages for peer in peers_of(message)}
        return [self._entity(peer) for peer in peers.values()]

    def _entity(self, peer: tl.TypePeer) -> TypeChat:
        kind, bare_id = _key(peer)
        name = self._names.get((kind, bare_id))
        if kind is tl.PeerUser:
            return user(bare_id, name)
        if kind is tl.PeerChannel:
            return broadcast(_SEED, bare_id, name or str(bare_id), None)
        return tl.ChatForbidden(id=bare_id, title=name or str(bare_id))


def user(user_id: int, name: str | None, **fields: Any) -> tl.User:
    """A user; one without a name is a deleted account, as exports show them."""
    return tl.User(
        id=user_id,
        access_hash=access_hash(_SEED, user_id),
        first_name=name,
        deleted=name is None or None,
        photo=tl.UserProfilePhotoEmpty(),
        **fields,
    )


def _key(peer: tl.TypePeer) -> PeerKey:
    return type(peer), peer.user_id if isinstance(peer, tl.PeerUser) else getattr(
        peer, "channel_id", None
    ) or peer.chat_id
