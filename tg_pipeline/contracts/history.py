"""The port between ingest and whatever can read a chat's history page by page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

PAGE_SIZE = 100
"""Telegram answers at most 100 messages a getHistory call (telegram-facts: "Reading history")."""


WITNESSES = 3
"""Of so many messages in a row, one may be dated out of the order of their ids without leading astray."""
BEGIN_WITNESSES = 5
"""Of so many that a history begins with, two may be dated so."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where an ascending page begins: after the id `after_id` or, where that is None, at the time `since` (POSIX s)."""

    since: int
    after_id: int | None = None

    @property
    def moment(self) -> datetime:
        """`since` as a date, UTC."""
        return datetime.fromtimestamp(max(self.since, 1), UTC)


class Record(NamedTuple):
    """One mapped message: `body` has the shape of `contracts.day_file.Message`."""

    id: int
    timestamp: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Visible:
    """What an account may see of a chat's past: ids from `first_id` on, sent from `begins` (POSIX s, `begins_of`) on.

    None for both where it sees nothing.
    """

    first_id: int | None
    begins: int | None


def begins_of(timestamps: Sequence[int]) -> float:
    """When messages begin, of which those of the lowest ids have these times (POSIX s); infinity where there are none.

    Of BEGIN_WITNESSES of them the middle one: dates are only nearly in the order of ids. Of fewer the latest.
    """
    first = sorted(timestamps[:BEGIN_WITNESSES])
    return first[BEGIN_WITNESSES // 2] if len(first) == BEGIN_WITNESSES else max(first, default=math.inf)


class Page(Protocol):
    """One answer, ascending where the server kept to its contract."""

    @property
    def ids(self) -> Sequence[int]:
        """Every id of the answer, oldest first as received, those of `messageEmpty` included."""

    @property
    def timestamps(self) -> Sequence[int]:
        """POSIX seconds of every message that has a date, oldest first as received."""

    def records(self) -> Sequence[Record]:
        """Every message mapped. Costs CPU."""

    def participants(self) -> Mapping[int, dict[str, Any]]:
        """People and chats the answer described, by marked id, shaped as `contracts.day_file.Participant`.

        Looking one up costs CPU, the rest costs nothing.
        """


class History(Protocol):
    """The history of one chat."""

    @property
    def account(self) -> int | None:
        """User id of the account that reads, where message ids are its own (private dialogs, basic groups)."""

    @property
    def moved_to(self) -> int | None:
        """Marked id of the supergroup that this basic group became, once a page has said so."""

    async def now(self) -> float:
        """The server's clock, POSIX seconds: a machine whose clock runs ahead must not seal a day too early."""

    async def page(self, cursor: Cursor) -> Page:
        """Up to PAGE_SIZE messages from the cursor on. An empty page is the end; a short one is not.

        Raises what `contracts.errors` lists under RetryableError, FloodWaitError, ChatError and OperatorError.
        """

    async def newest(self) -> Page:
        """The newest message that can be decoded, alone, if there is one. Asked at most once; raises as `page`."""

    async def visible(self) -> Visible:
        """What the account may see. Asked at most once, however often it is called, and never before; raises as `page`.

        An earlier answer will not do: the account may have left and joined again, or cleared the history.
        """
