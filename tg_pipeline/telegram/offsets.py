"""The offset fields of messages.getHistory (telegram-facts: "Reading history")."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from tg_pipeline.contracts.history import PAGE_SIZE, Cursor


@dataclass(frozen=True, slots=True)
class Offset:
    """Where a page lies: at `id`, or else at `date` (POSIX s); ascending from there, or the newest that are older.

    `ascending` messages from the offset on, or else the last of the `newest_of` that precede it; none of an id up to
    `above`.
    """

    id: int = 0
    date: int | None = None
    ascending: int = 0
    newest_of: int = 1
    above: int = 0

    @classmethod
    def after(cls, cursor: Cursor, size: int = PAGE_SIZE) -> Self:
        """The `size` messages that follow the cursor.

        Newer than X is `offset_id=X, add_offset=-limit`; X itself is excluded by asking from X+1. `min_id` keeps older
        ones out: whether Telegram fills up a page at the newest end with them was never measured.
        """
        if cursor.after_id is None:
            return cls(date=max(cursor.since, 1), ascending=size)
        return cls(id=cursor.after_id + 1, ascending=size, above=cursor.after_id)

    def back(self, steps: int) -> Self:
        """So many messages further back."""
        return replace(self, newest_of=self.newest_of + steps)

    def fields(self) -> dict[str, Any]:
        """As the request has them. By date, 0 would mean that there is none."""
        return {
            "offset_id": self.id,
            "offset_date": None if self.date is None else datetime.fromtimestamp(max(self.date, 1), UTC),
            "add_offset": -self.ascending if self.ascending else self.newest_of - 1,
            "limit": self.ascending or 1,
            "max_id": 0,
            "min_id": self.above,
            "hash": 0,
        }
