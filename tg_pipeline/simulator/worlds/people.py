"""Users, bots and foreign channels that messages refer to: made on demand from their id."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeChat, TypeMessage
from tg_pipeline.simulator.worlds.draws import derive, draw

USER_IDS_FROM = 600_000_000
BOT_IDS_FROM = 700_000_000

_FIRST = "Ana Борис Chen Дарья Elif Фёдор Giulia حسن Ines ירון Kenji Łukasz Мария Noé Olga Priya".split()  # noqa: SIM905 -- a row of names
_LAST = "Silva Ковалёв 王 Öztürk Rossi محمود Tanaka Nowak - O'Neil - Müller Іваненко - García Patel".split()  # noqa: SIM905
_PHOTO = tl.UserProfilePhotoEmpty()


class People:
    """The users of one world, made up by id, and those users and chats that are somebody in particular."""

    def __init__(self, seed: int) -> None:
        self._seed = derive(seed, "people")
        self._known: dict[int, TypeChat] = {}
        self._made_up = lru_cache(maxsize=4096)(self._user)

    def introduce(self, *entities: TypeChat) -> None:
        """From now on, messages that name these peers bring these very entities."""
        self._known.update((utils.get_peer_id(entity), entity) for entity in entities)

    def user(self, user_id: int) -> tl.User:
        """The user of that id: the one introduced, or else one made up."""
        return self._known.get(user_id) or self._made_up(user_id)

    def named_in(self, messages: Iterable[TypeMessage]) -> list[TypeChat]:
        """Everyone the messages refer to, each once, in order of appearance; chats only if introduced."""
        peers = {utils.get_peer_id(peer): peer for message in messages for peer in peers_of(message)}
        return [
            self._known[marked_id] if marked_id in self._known else self._made_up(marked_id)
            for marked_id, peer in peers.items()
            if marked_id in self._known or isinstance(peer, tl.PeerUser)
        ]

    def _user(self, user_id: int) -> tl.User:
        bits = draw(self._seed, user_id)
        if user_id >= BOT_IDS_FROM:
            name = f"helper{user_id - BOT_IDS_FROM}_bot"
            fields = {"first_name": name, "username": name, "bot": True, "bot_info_version": 1}
            return tl.User(id=user_id, access_hash=bits >> 1, photo=_PHOTO, **fields)
        if bits % 53 == 0:
            return tl.User(id=user_id, access_hash=bits >> 1, deleted=True)
        return tl.User(
            id=user_id,
            access_hash=bits >> 1,
            first_name=_FIRST[bits >> 8 & 15],
            last_name=_LAST[bits >> 12 & 15].strip("-") or None,
            username=f"member{user_id - USER_IDS_FROM}" if bits >> 16 & 1 else None,
            premium=bits >> 17 & 7 == 0 or None,
            photo=_PHOTO,
        )


def peers_of(message: TypeMessage) -> Iterator[tl.TypePeer]:
    """The senders, forward origins, bots and members that a message names, with repetitions."""
    if message.from_id is not None:
        yield message.from_id
    if isinstance(message, tl.MessageService):
        action = message.action
        single = (getattr(action, name, None) for name in ("user_id", "inviter_id"))
        yield from (tl.PeerUser(user_id) for user_id in (*(getattr(action, "users", None) or ()), *single) if user_id)
        return
    if message.fwd_from is not None:
        origins = (message.fwd_from.from_id, message.fwd_from.saved_from_peer)
        yield from (origin for origin in origins if origin is not None)
    if message.via_bot_id:
        yield tl.PeerUser(message.via_bot_id)
    for entity in message.entities or ():
        if isinstance(entity, tl.MessageEntityMentionName):
            yield tl.PeerUser(entity.user_id)
