"""How far back the account sees: whether a day's beginning can be hidden from it, asked only where that is in doubt."""

import logging
from contextlib import suppress
from datetime import date, timedelta

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.day_lines import message_id
from tg_pipeline.contracts.days import day_of, day_start
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.contracts.history import BEGIN_WITNESSES, WITNESSES, History, Page, Record, begins_of
from tg_pipeline.contracts.text import count
from tg_pipeline.ingest.background import to_its_end
from tg_pipeline.ingest.joins import id_near
from tg_pipeline.observability import metrics

DAYS_LOOKED_BACK = 30
"""For the archived messages that come before a day."""

log = logging.getLogger(__name__)


class Past:
    """What one fetch knows of where the history begins that its account may see. What is hidden is always a beginning.

    A day with visible messages before it is seen whole, and so is one whose first message follows the archived ones
    before it. One message alone proves neither: it may be dated out of the order of the ids. What is then still in
    doubt costs one call a fetch.
    """

    def __init__(self, history: History, store: Archive, slug: str) -> None:
        self._history = history
        self._store = store
        self._slug = slug
        self.first_visible = 0
        """The lowest id that the account may see, where that was asked and it sees any."""
        self.lowest: list[Record] = []
        """The messages of the lowest ids that were seen."""
        self._lowest_id: int | None = None

    def saw(self, page: Page) -> None:
        """Take note of a page that was believed."""
        if page.ids and (len(self.lowest) < BEGIN_WITNESSES or page.ids[0] < self.lowest[-1].id):
            found = {record.id: record for record in (*self.lowest, *page.records()[:BEGIN_WITNESSES])}
            self.lowest = [found[number] for number in sorted(found)[:BEGIN_WITNESSES]]
        self._lowest_id = _lower(self._lowest_id, min(page.ids, default=None))

    async def hidden(self, day: date, first_id: int | None) -> Condition | None:
        """The condition of a day that was read to its end, its first message being `first_id`; None where all is seen.

        Raises what `History.visible` raises.
        """
        is_preceded = begins_of([record.timestamp for record in self.lowest]) < day_start(day)
        first_id = self._lowest_id if is_preceded else _lower(self._lowest_id, first_id)
        lacks_its_beginning = await to_its_end(self._lacks_the_beginning, day, first_id)
        if is_preceded and not lacks_its_beginning:
            return None
        if not lacks_its_beginning and self._history.account is not None:
            return await self._cleared(day)
        if not lacks_its_beginning and await to_its_end(self._is_joined, day, first_id):
            return None
        visible = await self._history.visible()
        self.first_visible = visible.first_id or 0
        if is_preceded:
            return None
        if visible.begins is not None and day_of(visible.begins) < day:
            return None
        return Condition(kind="not_visible", first_id=visible.first_id)

    async def _cleared(self, day: date) -> Condition | None:
        """The condition where the account sees nothing of what was archived before the day.

        Where ids are its own, nothing else says that its history was cleared since.
        """
        archived = await to_its_end(id_near, self._store, self._slug, day)
        if archived is None or (self._lowest_id is not None and self._lowest_id <= archived):
            return None
        visible = await self._history.visible()
        if visible.first_id is not None and visible.first_id <= archived:
            return None
        return Condition(kind="not_visible", first_id=visible.first_id)

    def _lacks_the_beginning(self, day: date, first_id: int | None) -> bool:
        """Whether archived messages of the day precede all that was seen."""
        with suppress(DayFileError):  # the commit raises it
            return self._store.count_before(self._slug, day, first_id) > 0
        return False

    def _is_joined(self, day: date, first_id: int | None) -> bool:
        """Whether the ids before `first_id` are archived, on days before the day. Only where ids are the chat's own."""
        if first_id is None:
            return False
        sought = set(range(max(1, first_id - WITNESSES + 1), first_id))
        try:
            for days in range(1, DAYS_LOOKED_BACK + 1):
                before = day - timedelta(days=days)
                header = self._store.header(self._slug, before) if sought else None
                if header is None:
                    break
                if header.last_message_id is not None and header.last_message_id >= min(sought):
                    sought.difference_update(map(message_id, self._store.lines(self._slug, before)))
        except DayFileError:
            return False
        return not sought


def count_conditions(slug: str, committed: CommittedDay) -> None:
    """Count and log what keeps a day from being whole."""
    for condition in committed.conditions:
        if condition.kind == "held_back":
            metrics.DAYS_HELD_BACK.labels(slug).inc()
            lacking = count(condition.count or 0, "message")
            log.warning("%s: %s is held back: this read lacks %s of its file.", slug, committed.day, lacking)
        elif condition.kind == "not_visible":
            metrics.DAYS_NOT_VISIBLE.labels(slug).inc()


def _lower(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
