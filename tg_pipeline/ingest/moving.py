"""A basic group that became a supergroup: what it says last is that it did, and later days are the supergroup's."""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from datetime import date

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import Condition, moved_from, moved_to
from tg_pipeline.contracts.days import day_end, day_of, day_start
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import History, Page, Record

log = logging.getLogger(__name__)


def report_predecessor(report: FetchReport, lowest: Sequence[Record]) -> None:
    """Say why the days before the supergroup are empty, given its messages of the lowest ids (ADR 0009)."""
    for record in lowest:
        group = moved_from(record.body.get("action"))
        if group is not None and report.range.first < day_of(record.timestamp):
            report.moved_from = group
            log.warning(
                "%s: it is a supergroup since %s, and empty before. It was a basic group, whose history is a chat of "
                "its own: tg-pipeline chats add %d --slug %s-before",
                *(report.slug, day_of(record.timestamp), group, report.slug),
            )


class Move:
    """What one fetch knows of it: what answers say of the group, what its last message says, and what is archived.

    Any of them may be silent: the group is described without the supergroup to those who left it, and the last message
    may lie before the range.
    """

    def __init__(self, history: History, store: Archive, slug: str) -> None:
        self._history = history
        self._store = store
        self._slug = slug
        self._archived: int | None = None
        self._last_seen = -1
        self._at_newest = False

    @property
    def is_archived(self) -> bool:
        """Whether a day file says so already."""
        return self._archived is not None

    def recall(self, last_day: date) -> None:
        """Look into the newest file up to that day that holds messages."""
        if self._history.account is None:
            return
        days = sorted(self._store.days(self._slug))
        with suppress(DayFileError):
            for day in reversed(days[: bisect_right(days, last_day)]):
                header = self._store.header(self._slug, day)
                if header is not None and header.last_message_id is not None:
                    *_, line = self._store.lines(self._slug, day)
                    said = next((c.chat_id for c in header.conditions if c.kind == "moved"), None)
                    self._archived = said or moved_to(orjson.loads(line).get("action"))
                    return

    def saw(self, page: Page) -> None:
        """Take note of a page. An empty one is the end of history."""
        self._at_newest = self._at_newest or not page.ids
        self._last_seen = max([self._last_seen, *page.timestamps[-1:]])

    def is_before(self, day: date) -> bool:
        """Whether the chat went on as another one before that day."""
        return self._is_known() and day_start(day) > self._last_seen

    def conditions(self, day: date) -> list[Condition]:
        """The condition of a day that is not whole because of it."""
        if self._is_known() and day_end(day) > self._last_seen:
            return [Condition(kind="moved", chat_id=self._to)]
        return []

    def sentence(self) -> str:
        """The error for a request of later days."""
        last = "It has nothing new" if self._last_seen < 0 else f"Its last message is of {day_of(self._last_seen)}"
        return (
            f"{self._slug}: the group became a supergroup, {self._to}, and goes on there. {last}; no file is written "
            f"for later days. Add the supergroup: tg-pipeline chats add {self._to}"
        )

    @property
    def _to(self) -> int | None:
        return self._history.moved_to or self._archived

    def _is_known(self) -> bool:
        return self._to is not None and self._at_newest
