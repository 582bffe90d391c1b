"""A history in memory that pages as Telegram does, with what was never measured of Telegram turned either way."""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tg_pipeline.contracts.days import utc_text
from tg_pipeline.contracts.history import Cursor, Page, Record, Visible

CHAT = "chat"
CHAT_ID = -1_000_000_000_077
AUTHOR = {"id": 7, "kind": "user", "name": "Ann", "username": None}


@dataclass(frozen=True)
class Said:
    """One message; `text` None for a `messageEmpty`, of which nothing is left but the id."""

    id: int
    at: int
    text: str | None = "hi"
    views: int | None = None
    type: str = "message"


class MemoryPage:
    """One answer, in the order in which it is given."""

    def __init__(self, messages: Sequence[Said]) -> None:
        self.ids = [m.id for m in messages]
        self._dated = [m for m in messages if m.text is not None]
        self.timestamps = [m.at for m in self._dated]

    def records(self) -> list[Record]:
        return [Record(m.id, m.at, body(m)) for m in self._dated]

    def participants(self) -> Mapping[int, dict[str, Any]]:
        return {7: AUTHOR}


def body(message: Said) -> dict[str, Any]:
    """The message as the day file has it."""
    return {
        "id": message.id,
        "date": utc_text(message.at),
        "from_id": 7,
        "chat": CHAT,
        "text": message.text,
        "reply_to": None,
        "views": message.views,
        "forwards": None,
        "replies_count": None,
        "entities": [],
        "edited": False,
        "edit_date": None,
        "deleted": False,
        "deleted_at": None,
        "type": message.type,
    }


Spoiler = Callable[[int, list[Said]], list[Said]]
"""Given the number of the call (from 1) and the page that is right: the page that is answered."""


@dataclass
class MemoryHistory:
    """`messages` ascend by id. `turns` seeds how many turns of the event loop each answer takes.

    A date is sought from the oldest message on, or by bisection (`bisects`), which dates out of order lead astray.
    """

    messages: Sequence[Said]
    clock: float
    page_size: int = 100
    date_inclusive: bool = False
    bisects: bool = False
    spoil: Spoiler | None = None
    before_answer: Callable[[], None] = lambda: None
    turns: random.Random = field(default_factory=lambda: random.Random(0))
    moved_to: int | None = None
    odd: Collection[int] = ()
    """Ids of messages that cannot be decoded. As of ChatHistory, a placeholder ends the page, dated as a neighbour."""
    calls: int = 0
    cursors: list[Cursor] = field(default_factory=list)

    account: int | None = None
    seen: Visible = field(default_factory=lambda: Visible(1, 0))

    async def visible(self) -> Visible:
        return self.seen

    async def newest(self) -> Page:
        return MemoryPage([m for m in self.messages if m.at <= self.clock][-1:])

    async def now(self) -> float:
        return self.clock

    async def page(self, cursor: Cursor) -> Page:
        self.calls += 1
        number = self.calls
        self.cursors.append(cursor)
        for _ in range(self.turns.randrange(1, 20)):
            await asyncio.sleep(0)
        self.before_answer()
        visible = [m for m in self.messages if m.at <= self.clock]
        start = self._start(visible, cursor)
        page = self._decoded(visible, visible[start : start + self.page_size])
        return MemoryPage(self.spoil(number, page) if self.spoil else page)

    def _decoded(self, visible: Sequence[Said], page: Sequence[Said]) -> list[Said]:
        first = next((n for n, m in enumerate(page) if m.id in self.odd), None)
        if first is None:
            return list(page)
        odd = page[first]
        before = [m.at for m in visible if m.id not in self.odd and m.id < odd.id]
        after = [m.at for m in visible if m.id not in self.odd and m.id > odd.id]
        at = (before[-1:] or after[:1] or [odd.at])[0]
        return [*page[:first], Said(odd.id, at, "", type="unreadable")]

    def _start(self, visible: Sequence[Said], cursor: Cursor) -> int:
        """How many messages precede the page."""
        if cursor.after_id is not None:
            return bisect_right([m.id for m in visible], cursor.after_id)
        first = cursor.since + self.date_inclusive
        if self.bisects:
            return bisect_left(visible, first, key=lambda m: m.at)
        return next((n for n, m in enumerate(visible) if m.at >= first), len(visible))
