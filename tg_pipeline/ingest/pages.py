"""Reading one page and believing it only when it agrees with all that came before."""

import logging
from dataclasses import replace
from itertools import pairwise

from tg_pipeline.contracts.days import SECONDS_PER_DAY
from tg_pipeline.contracts.errors import PageIntegrityError
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import PAGE_SIZE, Cursor, History, Page, begins_of
from tg_pipeline.contracts.text import count
from tg_pipeline.observability import metrics
from tg_pipeline.observability.traces import span

log = logging.getLogger(__name__)


class PageReader:
    """Reads the pages of one history, several side by side, and remembers enough of them to know a wrong one.

    Telethon's own iterator ends silently where a page repeats or reorders ids (telegram-facts: "Reading history").
    """

    def __init__(self, history: History, report: FetchReport, *, rereads: int, resumed: bool = False) -> None:
        """`resumed`: an earlier process has read some of it, and what it was answered may be answered again."""
        self._history = history
        self._report = report
        self._rereads = rereads
        self._resumed = resumed
        self._places: dict[int, Cursor] = {}
        """Where the page that begins with an id was first seen."""
        self._ends: set[int] = set()
        """The last ids of the pages that were believed."""
        self._begins: set[int] = set()
        self._found: dict[int, int] = {}
        """Of messages of an earlier process that were found in their place, what follows each; 0 for nothing."""
        self._newest_id = 0
        self._newest_time = 0

    def begins_after(self, message_id: int) -> None:
        """A read begins after that id, which no page of this process ends with."""
        self._begins.add(message_id)

    async def look(self, cursor: Cursor) -> Page:
        """The page at `cursor`, believed or not. `finds` need not ask for a message of it."""
        page = await self._read(cursor)
        self._found.update(pairwise(page.ids))
        return page

    async def finds(self, message_id: int) -> bool:
        """Whether a message that an earlier process was answered is still there, so that what follows it can be read.

        Its place is then known, and only what follows it there is believed to follow.
        """
        if message_id in self._found:
            return True
        first, *rest = (await self._read(Cursor(since=0, after_id=message_id - 1))).ids or [0]
        if first == message_id:
            self._found[message_id] = next(iter(rest), 0)
        return first == message_id

    async def page(self, cursor: Cursor) -> Page:
        """The page at `cursor`, its ids strictly ascending and all beyond the cursor.

        A page that repeats or reorders ids, that is empty although later messages are known, or that came before in
        another place, is counted and read again, up to `rereads` times; then PageIntegrityError. A page that is only
        surprising (where nothing was sent between two places, the same page follows both) is believed once confirmed,
        or if it stays after a message of another day that an earlier process read: where that was deleted since,
        nothing can confirm it, and whether the day's beginning is hidden is asked (`ingest.past`).
        """
        with span("page", {"tg.chat": self._report.slug, "tg.after_id": cursor.after_id or 0}):
            return await self._believed(cursor)

    async def _believed(self, cursor: Cursor) -> Page:
        answers: list[list[int]] = []
        for attempt in range(self._rereads + 1):
            page = await self._read(cursor)
            wrong = self._wrong(page, cursor)
            answers.append(list(page.ids))
            is_last = attempt == self._rereads and all(a == answers[0] for a in answers)
            is_of_before = self._is_resumed_at(cursor) or cursor.after_id in self._begins
            stays = is_last and is_of_before and cursor.after_id not in self._found
            if not wrong and (not self._surprises(page, cursor) or await self._confirms(page, cursor) or stays):
                self._remember(page)
                return page
            self._report.repeated += wrong or len(page.ids)
            metrics.DEDUPLICATED_MESSAGES.labels(self._report.slug).inc(wrong or len(page.ids))
            self._report.rereads += 1
            log.warning("%s: the page at %s is not what should follow; reading it again.", self._report.slug, cursor)
        raise PageIntegrityError(
            f"{self._report.slug}: the page after message {cursor.after_id} came {self._rereads + 1} times "
            "with repeated, reordered or missing ids."
        )

    async def _read(self, cursor: Cursor) -> Page:
        page = await self._history.page(cursor)
        metrics.MESSAGES_FETCHED.labels(self._report.slug).inc(len(page.ids))
        self._report.pages += 1
        log.debug("%s: %s at %s.", self._report.slug, count(len(page.ids), "message"), cursor)
        if page.ids:
            self._places.setdefault(page.ids[0], cursor)
        return page

    async def _confirms(self, page: Page, cursor: Cursor) -> bool:
        """Whether a surprising page follows also when the message before it is asked for; by date, whether it stays."""
        self._report.rereads += 1
        if cursor.after_id is None:
            return list((await self._read(cursor)).ids) == list(page.ids)
        before, *ids = (await self._read(replace(cursor, after_id=cursor.after_id - 1))).ids or [0]
        if before == cursor.after_id and not ids:  # one message is all that the page before holds
            ids = list((await self._read(cursor)).ids)
        return before == cursor.after_id and bool(ids) and ids == list(page.ids[: len(ids)])

    def _wrong(self, page: Page, cursor: Cursor) -> int:
        """How many ids are out of order; 1 for an empty page where there must be something."""
        last = cursor.after_id or 0
        wrong = 0
        for number in page.ids:
            if number > last:
                last = number
            else:
                wrong += 1
        return wrong if page.ids else int(self._more_is_known(cursor))

    def _more_is_known(self, cursor: Cursor) -> bool:
        if cursor.after_id is not None:
            return cursor.after_id < self._newest_id
        return cursor.since <= self._newest_time

    def _surprises(self, page: Page, cursor: Cursor) -> bool:
        """A page that came before in another place, that is older than the date asked for, or that jumps ahead."""
        if not page.ids:
            return False
        too_old = cursor.after_id is None and bool(page.timestamps) and max(page.timestamps) < cursor.since
        return too_old or self._places[page.ids[0]] != cursor or self._jumps(page, cursor)

    def _remember(self, page: Page) -> None:
        if page.ids:
            self._ends.add(page.ids[-1])
            self._newest_id = max(self._newest_id, page.ids[-1])
            self._newest_time = max(self._newest_time, *page.timestamps, 0)

    def _is_resumed_at(self, cursor: Cursor) -> bool:
        """Whether the message before the page was read by an earlier process."""
        return self._resumed and cursor.after_id is not None and cursor.after_id not in self._ends

    def _jumps(self, page: Page, cursor: Cursor) -> bool:
        """Whether a full page begins further from the cursor than half of what it spans; by date, a day at least.

        A long silence looks so, and so does a page of another place, sent before this process was there to see it.
        After an interrupted process that page may be the very next one, of which it kept a part: any gap may be it.
        """
        if cursor.after_id is not None and self._is_resumed_at(cursor):
            return page.ids[0] > cursor.after_id + 1 and page.ids[0] != self._found.get(cursor.after_id)
        if len(page.ids) < PAGE_SIZE:
            return False
        if cursor.after_id is not None and cursor.after_id not in self._begins:
            return 2 * (page.ids[0] - cursor.after_id) > page.ids[-1] - page.ids[0]
        times = page.timestamps
        least = 0 if self._resumed else SECONDS_PER_DAY
        begins = begins_of(times)
        return bool(times) and begins - cursor.since > max(least, (times[-1] - begins) / 2)
