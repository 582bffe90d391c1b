"""A chat's history as pages: the History port over messages.getHistory, one raw request a page."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from telethon.tl import types as tl
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.history import PAGE_SIZE, Cursor, Record
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.errors import StalePeer
from tg_pipeline.telegram.mapping import MessageMapper, entity_id, participant
from tg_pipeline.telegram.resolver import Resolver, input_peer, username_of

log = logging.getLogger(__name__)


class ChatHistory:
    """The history of one resolved chat. `slug` names the chat in the records."""

    def __init__(self, connection: Connection, resolver: Resolver, peer: Peer, *, name: str, slug: str) -> None:
        self._connection = connection
        self._resolver = resolver
        self._name = name
        self._slug = slug
        self._username_checked = False
        self.peer = peer

    async def now(self) -> float:
        """The server's clock, POSIX seconds."""
        return await self._connection.server_time()

    async def page(self, cursor: Cursor) -> "HistoryPage":
        """The up to 100 messages that follow the cursor, ascending.

        Ascending pagination after telegram-facts "Reading history": newer than X is `offset_id=X, add_offset=-limit`;
        X itself is excluded by asking from X+1. `min_id` keeps older ones out: whether Telegram fills up a page at the
        newest end with them was never measured. A remembered access hash that Telegram refuses is resolved anew, once.
        """
        try:
            answer = await self._connection.call(self._request(cursor))
        except StalePeer:
            self._resolver.forget(self.peer)
            self.peer = await self._resolver.resolve(self._name, expected_id=self.peer.marked_id)
            answer = await self._connection.call(self._request(cursor))
        self._notice_rename(answer)
        return HistoryPage(answer, MessageMapper(self._slug, self.peer, self._resolver.own_id))

    def _request(self, cursor: Cursor) -> GetHistoryRequest:
        """By id, or by date, where 0 would mean that there is none."""
        after = cursor.after_id
        return GetHistoryRequest(
            peer=input_peer(self.peer),
            offset_id=0 if after is None else after + 1,
            offset_date=datetime.fromtimestamp(max(cursor.since, 1), UTC) if after is None else None,
            add_offset=-PAGE_SIZE,
            limit=PAGE_SIZE,
            max_id=0,
            min_id=after or 0,
            hash=0,
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
        return [self._mapper.record(m, t) for m, t in zip(self._messages, self.timestamps, strict=True)]

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
