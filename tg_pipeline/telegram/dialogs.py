"""The list of dialogs, page by page: messages.getDialogs, whose answers hold the newest message of every chat.

One thing in it that cannot be decoded, in any chat, would hide all of them. Pages are then halved until it stands
first, and passed over by date: the chats whose newest message is of that second are left out, with a warning.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl
from telethon.tl.functions.messages import GetDialogsRequest

from tg_pipeline.contracts.errors import Undecodable
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.peers import input_peer, peer_in
from tg_pipeline.telegram.plain import marked_id

DIALOGS_PAGE = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Behind the dialog of `peer`, whose newest message is `id` of `date`; or all older than `date` (POSIX s)."""

    date: int | None = None
    id: int = 0
    peer: Any = field(default_factory=tl.InputPeerEmpty)


class DialogList:
    """One sweep. `left_out`: how often something that cannot be decoded was passed over."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.left_out = 0

    async def pages(self) -> AsyncIterator[Any]:
        """The answers, newest dialog first."""
        place = _Place()
        size, odd_within = DIALOGS_PAGE, 0
        while True:
            try:
                answer = await self._ask(place, size)
            except Undecodable as error:
                if size > 1:
                    size, odd_within = size // 2, size
                    continue
                older = await self._past(place)
                self.left_out += 1
                log.warning("Passed over a chat in the list of dialogs. %s", error)
                if older is None:
                    return
                place, size, odd_within = older, DIALOGS_PAGE, 0
                continue
            yield answer
            last = _last_dated(answer)
            if isinstance(answer, tl.messages.Dialogs) or last is None:
                return
            date = int(last.date.timestamp())
            if (last.id, date) == (place.id, place.date):
                return
            top = peer_in(answer, last.peer_id)
            place = _Place(date, last.id, input_peer(top) if top else tl.InputPeerEmpty())
            odd_within = max(0, odd_within - size)
            size = max(1, odd_within // 2) if odd_within else DIALOGS_PAGE

    async def _ask(self, place: _Place, size: int) -> Any:
        moment = None if place.date is None else datetime.fromtimestamp(place.date, UTC)
        request = GetDialogsRequest(limit=size, hash=0, offset_date=moment, offset_id=place.id, offset_peer=place.peer)
        return await self._connection.call(request)

    async def _past(self, place: _Place) -> _Place | None:
        """The nearest older second from which on the next dialog can be decoded; None where none can."""
        newest = place.date if place.date is not None else int(await self._connection.server_time()) + 1
        back, too_near = 0, -1
        while not await self._is_readable(newest - back):
            too_near, back = back, 2 * back or 1
            if newest - back < 1:
                return None
        while back - too_near > 1:
            middle = (too_near + back) // 2
            if await self._is_readable(newest - middle):
                back = middle
            else:
                too_near = middle
        return _Place(newest - back)

    async def _is_readable(self, date: int) -> bool:
        try:
            await self._ask(_Place(date), 1)
        except Undecodable:
            return False
        return True


def _last_dated(answer: Any) -> Any | None:
    """The message to go on from: the top message of the last dialog that has one (Telegram's paging rule)."""
    tops = {(marked_id(m.peer_id), m.id): m for m in answer.messages if getattr(m, "date", None)}
    for dialog in reversed(answer.dialogs):
        top = tops.get((marked_id(dialog.peer), dialog.top_message))
        if top is not None:
            return top
    return None
