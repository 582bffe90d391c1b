"""Messages as bytes, kept so that a message is built and serialised once however often it is read."""

from collections.abc import Iterable
from typing import NamedTuple

from telethon.tl import types as tl

from tg_pipeline.simulator.mtproto import vector
from tg_pipeline.simulator.world import Chat, TypeChat

MEMO_BYTES = 64 * 2**20
OVERHEAD_BYTES = 200
PersonKey = tuple[int, int]


class Serialised(NamedTuple):
    """One message: its id, its TL bytes, and whom it refers to (keys of `People`)."""

    message_id: int
    body: bytes
    people: tuple[PersonKey, ...]


class People:
    """Users and chats by (constructor, id), as objects and as bytes."""

    def __init__(self) -> None:
        self._entities: dict[PersonKey, TypeChat] = {}
        self._bytes: dict[PersonKey, bytes] = {}

    def remember(self, entity: TypeChat) -> PersonKey:
        """Keep an entity that an answer will refer to; the key finds it again."""
        key = (entity.CONSTRUCTOR_ID, entity.id)
        if self._entities.get(key) is not entity:
            self._entities[key] = entity
            self._bytes[key] = bytes(entity)
        return key

    def refresh(self, entity: TypeChat) -> PersonKey:
        """As `remember`, for an entity that may have changed since."""
        key = self.remember(entity)
        self._bytes[key] = bytes(entity)
        return key

    def user(self, user_id: int) -> tl.User | None:
        """A user whom some answer has mentioned."""
        return self._entities.get((tl.User.CONSTRUCTOR_ID, user_id))

    def vectors(self, keys: Iterable[PersonKey]) -> bytes:
        """The two vectors that end most answers: chats, then users; each entity once."""
        chats: list[bytes] = []
        users: list[bytes] = []
        for key in dict.fromkeys(keys):
            (users if key[0] == tl.User.CONSTRUCTOR_ID else chats).append(self._bytes[key])
        return vector(chats) + vector(users)


class Serialiser:
    """A memo of serialised messages by (chat, revision, rank), bounded in bytes; the oldest entries leave first."""

    def __init__(self, people: People, memo_bytes: int = MEMO_BYTES) -> None:
        self._people = people
        self._memo: dict[tuple[int, int, int], Serialised] = {}
        self._room = memo_bytes

    def ranks(self, chat_id: int, chat: Chat, start: int, stop: int, now: float) -> list[Serialised]:
        """The messages of ranks start..stop-1, ascending."""
        revision, memo = chat.revision, self._memo
        found = [memo.get((chat_id, revision, rank)) for rank in range(start, stop)]
        missing = [rank for rank, item in enumerate(found, start) if item is None]
        if missing:
            first, last = missing[0], missing[-1]
            for rank, message in enumerate(chat.messages(first, last + 1, now), first):
                found[rank - start] = self._add((chat_id, revision, rank), chat, message)
        return [item for item in found if item]

    def _add(self, key: tuple[int, int, int], chat: Chat, message: tl.TypeMessage) -> Serialised:
        people = tuple(self._people.remember(person) for person in chat.people([message]))
        item = Serialised(message.id, bytes(message), people)
        self._room -= len(item.body) + OVERHEAD_BYTES
        while self._room < 0 and self._memo:
            self._room += len(self._memo.pop(next(iter(self._memo))).body) + OVERHEAD_BYTES
        self._memo[key] = item
        return item
