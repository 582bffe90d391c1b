"""A chat's history as pages: the History port over messages.getHistory, one raw request a page."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import telethon
from telethon.tl import types as tl
from telethon.tl.alltlobjects import LAYER
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.history import Cursor, Record, Visible
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.details import visible
from tg_pipeline.telegram.errors import UPGRADE_HINT, StalePeer
from tg_pipeline.telegram.isolation import Isolation, UnreadableMessage
from tg_pipeline.telegram.mapping import MessageMapper, entity_id, participant
from tg_pipeline.telegram.offsets import Offset
from tg_pipeline.telegram.peers import input_peer, username_of
from tg_pipeline.telegram.plain import marked_id
from tg_pipeline.telegram.resolver import Resolver

log = logging.getLogger(__name__)


class ChatHistory:
    """The history of one resolved chat. `slug` names the chat in the records."""

    def __init__(self, connection: Connection, resolver: Resolver, peer: Peer, *, name: str, slug: str) -> None:
        self._connection = connection
        self._resolver = resolver
        self._name = name
        self._slug = slug
        self._username_checked = False
        self._visible: Visible | None = None
        self._newest: HistoryPage | None = None
        self._warned: set[int] = set()
        self.moved_to: int | None = None
        """Marked id of the supergroup that this basic group has become, once an answer has said so."""
        self._isolation = Isolation(self._ask)
        self.peer = peer

    @property
    def account(self) -> int | None:
        """User id of the account where message ids are its own (telegram-facts: "Reading history")."""
        return None if self.peer.kind == "channel" else self._resolver.own_id

    async def now(self) -> float:
        """The server's clock, POSIX seconds."""
        return await self._connection.server_time()

    async def page(self, cursor: Cursor) -> "HistoryPage":
        """The up to 100 messages that follow the cursor, ascending.

        A message that cannot be decoded ends the page, and something that says so stands for it. A remembered access
        hash that Telegram refuses is resolved again, once.
        """
        answer = await self._isolation.page(cursor)
        if cursor.after_id is None and not answer.messages:
            answer = await self._confirmed(answer, cursor)
        self._notice_rename(answer)
        self._notice_move(answer)
        for message in answer.messages[:1]:
            if isinstance(message, UnreadableMessage):
                self._warn(message)
        return HistoryPage(answer, MessageMapper(self._slug, self.peer, self._resolver.own_id))

    async def newest(self) -> "HistoryPage":
        """The newest message that can be decoded, alone; asked at most once."""
        if self._newest is None:
            answer = await self._isolation.newest()
            self._notice_move(answer)
            self._newest = HistoryPage(answer, MessageMapper(self._slug, self.peer, self._resolver.own_id))
        return self._newest

    async def _confirmed(self, empty: Any, cursor: Cursor) -> Any:
        """What follows a date that led nowhere: nothing, unless the newest message is later (telegram-facts)."""
        newest = await self.newest()
        if not newest.timestamps or newest.timestamps[-1] < cursor.since:
            return empty
        log.debug("%s: the date %s leads nowhere, though there are later messages.", self._slug, cursor.moment)
        before = await self._isolation.before(cursor.since, newest.ids[-1])
        return await self._isolation.page(replace(cursor, after_id=before))

    async def _ask(self, offset: Offset) -> Any:
        try:
            return await self._connection.call(GetHistoryRequest(peer=input_peer(self.peer), **offset.fields()))
        except StalePeer:
            self._resolver.forget(self.peer)
            self.peer = await self._resolver.resolve(self._name, expected_id=self.peer.marked_id)
            return await self._connection.call(GetHistoryRequest(peer=input_peer(self.peer), **offset.fields()))

    async def visible(self) -> Visible:
        """What the account may see of the chat's past; asked at most once. It also says which account can read it."""
        if self._visible is None:
            self._visible = await visible(self._connection, self.peer)
            self._resolver.note_seen(self.peer, self._visible, await self.now())
        return self._visible

    def _notice_move(self, answer: Any) -> None:
        """Both the group and its last message say where it went."""
        if self.peer.kind != "chat":
            return
        here = [chat.migrated_to for chat in answer.chats if isinstance(chat, tl.Chat) and chat.id == self.peer.id]
        said = [m.action for m in answer.messages if isinstance(m, tl.MessageService)]
        for found in (*here, *said):
            if isinstance(found, tl.InputChannel | tl.MessageActionChatMigrateTo):
                self.moved_to = marked_id(tl.PeerChannel(found.channel_id))

    def _warn(self, message: UnreadableMessage) -> None:
        if message.id in self._warned:
            return
        self._warned.add(message.id)
        what = "" if message.constructor is None else f"; its type {message.constructor:08x} is not known"
        log.warning(
            "%s: message %d of about %s cannot be decoded by Telethon %s (layer %d)%s. A placeholder stands for it. %s "
            "Then fetch the day again.",
            *(self._slug, message.id, f"{message.date:%Y-%m-%d %H:%M:%S}", telethon.__version__, LAYER, what),
            UPGRADE_HINT,
        )

    def _notice_rename(self, answer: Any) -> None:
        if self._username_checked:
            return
        entity = next((e for e in (*answer.chats, *answer.users) if entity_id(e) == self.peer.marked_id), None)
        if not isinstance(entity, tl.Channel | tl.User):
            return
        self._username_checked = True
        before, now = self.peer.username or "", username_of(entity) or ""
        if now.lower() != before.lower():
            log.warning(
                "%s (id %s) is called %s on Telegram now, not %s any more; it is still read by its id. "
                "Update chats.yaml if other people look it up by name.",
                self._slug,
                self.peer.marked_id,
                f"@{now}" if now else "by no username",
                f"@{before}" if before else "by no username",
            )
            self._resolver.learn([entity])


class HistoryPage:
    """One answer. Nothing is mapped until asked for, so that the next request can leave first."""

    def __init__(self, answer: Any, mapper: MessageMapper) -> None:
        self._answer = answer
        self._mapper = mapper
        self._messages = [m for m in reversed(answer.messages) if type(m) is not tl.MessageEmpty]
        self.ids: Sequence[int] = [m.id for m in reversed(answer.messages)]
        self.timestamps: Sequence[int] = [int(m.date.timestamp()) for m in self._messages]

    def records(self) -> Sequence[Record]:
        """Every message mapped; `messageEmpty` (deleted, nothing but an id left) is no message and is left out."""
        return self._records

    @cached_property
    def _records(self) -> list[Record]:
        mapper = self._mapper
        return [
            mapper.unreadable(m, t) if type(m) is UnreadableMessage else mapper.record(m, t)
            for m, t in zip(self._messages, self.timestamps, strict=True)
        ]

    def participants(self) -> Mapping[int, dict[str, Any]]:
        """Users and chats the answer described, by marked id."""
        return _Participants((*self._answer.users, *self._answer.chats))


class _Participants(Mapping[int, dict[str, Any]]):
    """Maps those who are asked for: of the hundred people a page describes, few are new to its day."""

    def __init__(self, entities: Iterable[Any]) -> None:
        self._described = entities

    @cached_property
    def _entities(self) -> dict[int, Any]:
        return {number: entity for entity in self._described if (number := entity_id(entity)) is not None}

    def __getitem__(self, number: int) -> dict[str, Any]:
        return participant(self._entities[number])

    def __iter__(self) -> Iterator[int]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)
