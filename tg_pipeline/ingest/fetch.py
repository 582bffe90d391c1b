"""One request: read a chat's range of days, commit each day the moment it is whole, leave nothing behind.

What holds at every instant, so that a kill costs the pages in flight and nothing else: the spool of a day's part holds
every message of its interval up to its last id; a day is committed when the parts that make it up were read to their
ends; the pending request forgets a day's spools only after the day file is in place.
"""

import asyncio
import logging
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from typing import Any

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.days import day_end, day_of, day_start
from tg_pipeline.contracts.errors import RetryableError
from tg_pipeline.contracts.fetch import CommittedDay, FetchProgress, FetchReport, OnProgress
from tg_pipeline.contracts.history import History, Page, Record
from tg_pipeline.contracts.policy import FetchPolicy
from tg_pipeline.ingest.pages import read_page
from tg_pipeline.ingest.segments import Segment, plan, split
from tg_pipeline.storage.day_store import DayStore
from tg_pipeline.storage.progress import Progress
from tg_pipeline.storage.request import PendingRequest

MIDNIGHT_SLACK_SECONDS = 2
"""Ids ascend strictly, dates only nearly: a message may carry a date a second before its predecessor's."""
PROGRESS_SECONDS = 1.0

log = logging.getLogger(__name__)


class Fetch:
    """The state of one running request. Call `run` once."""

    def __init__(  # noqa: PLR0913 - the ports and values it joins
        self,
        history: History,
        store: DayStore,
        progress: Progress,
        pending: PendingRequest,
        report: FetchReport,
        *,
        policy: FetchPolicy,
        clock: Clock,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._history = history
        self._store = store
        self._progress = progress
        self._pending = pending
        self._report = report
        self._policy = policy
        self._clock = clock
        self._on_progress = on_progress
        self._until = 0
        self._segments: list[Segment] = []
        self._open_days: list[date] = []
        self._busy: dict[Segment, asyncio.Lock] = {}
        self._pointer_saved = 0.0

    async def run(self) -> FetchReport:
        """Read to the end. Raises what History, PendingRequest and DayStore raise; the next call goes on from there."""
        began = self._clock.now()
        self._until = int(await self._history.now())
        self._report.resumed_days = sorted(self._pending.committed)
        self._open_days = [day for day in self._report.range if day not in self._pending.committed]
        self._segments = plan(
            self._report.range, self._pending.committed, self._pending.covered, self._pending.last_ids()
        )
        try:
            with closing(self._pending):
                await self._read_all()
        finally:
            self._report.duration_seconds = self._clock.now() - began
        self._pending.finish()
        return self._report

    async def _read_all(self) -> None:
        await self._commit_whole_days(self._segments)
        waiting = [s for s in self._segments if not s.done][::-1]
        more = asyncio.Event()
        more.set()

        async def reader() -> None:
            while True:
                segment = waiting.pop() if waiting else self._stolen()
                if segment is not None:
                    self._busy[segment] = asyncio.Lock()
                    try:
                        await self._read(segment, more)
                    finally:
                        del self._busy[segment]
                        more.set()
                elif self._busy:
                    more.clear()
                    await more.wait()
                else:
                    return

        try:
            async with asyncio.TaskGroup() as readers:
                for _ in range(self._policy.pages_in_flight):
                    readers.create_task(reader())
        except BaseExceptionGroup as group:
            raise _worst(group) from None

    def _stolen(self) -> Segment | None:
        """The later half of a busy segment, cut while its reader is between two pages."""
        between_pages = [s for s, lock in self._busy.items() if not lock.locked()]
        later = split(between_pages, until=self._until, pages=self._report.pages, splits=self._report.splits)
        if later is not None:
            self._report.splits += 1
            self._segments.append(later)
            self._segments.sort(key=lambda s: s.start)
        return later

    async def _read(self, segment: Segment, more: asyncio.Event) -> None:
        """Read one segment to its end. The next page is under way while the last is mapped and written."""
        page_under_way = self._ask(segment)
        try:
            while True:
                page = await page_under_way
                segment.pages += 1
                async with self._busy[segment]:
                    ended = self._is_last(page, segment)
                    if not ended:
                        segment.after_id = page.ids[-1]
                        page_under_way = self._ask(segment)
                    taken, repeated = await asyncio.to_thread(self._take, segment, page, ended=ended)
                    self._report.messages += taken
                    self._report.repeated += repeated
                    await self._commit_whole_days([segment])
                more.set()
                self._tell()
                if ended:
                    return
        finally:
            page_under_way.cancel()

    def _ask(self, segment: Segment) -> asyncio.Task[Page]:
        return asyncio.create_task(read_page(self._history, segment.cursor, self._report, self._policy.page_rereads))

    def _is_last(self, page: Page, segment: Segment) -> bool:
        """An empty page, or one that reaches beyond the segment. Never a short one: messages may be filtered out."""
        if not page.ids:
            return True
        end = min(segment.end, self._until) + MIDNIGHT_SLACK_SECONDS
        return page.last_timestamp is not None and page.last_timestamp >= end

    def _take(self, segment: Segment, page: Page, *, ended: bool) -> tuple[int, int]:
        """Write the page to the spools of its days: how many messages were new, and how many were not. Takes CPU."""
        end = min(segment.end, self._until)
        by_day: defaultdict[date, list[Record]] = defaultdict(list)
        for record in page.records():
            if segment.start <= record.timestamp < end:
                by_day[day_of(record.timestamp)].append(record)
        people = page.participants()
        taken = sum(self._spool(segment, day, records, people) for day, records in by_day.items())
        if ended:
            segment.passed = segment.end
        elif page.last_timestamp is not None:
            segment.passed = max(segment.passed, min(page.last_timestamp - MIDNIGHT_SLACK_SECONDS, segment.end))
        return taken, sum(map(len, by_day.values())) - taken

    def _spool(self, segment: Segment, day: date, records: Sequence[Record], people: Mapping[int, Any]) -> int:
        """Append what the spool lacks; how many that was."""
        if day in self._pending.committed:
            return self._amend(day, records, people)
        part = max(segment.start, day_start(day))
        spool = self._pending.spool(day, part)
        news = [record for record in records if spool.last_id is None or record.id > spool.last_id]
        if not news:
            return 0
        spool.append(news, people)
        if part == day_start(day) and self._clock.now() - self._pointer_saved >= PROGRESS_SECONDS:
            self._pointer_saved = self._clock.now()
            self._progress.advance(self._report.slug, day, news[-1].id)
        return len(news)

    def _amend(self, day: date, records: Sequence[Record], people: Mapping[int, Any]) -> int:
        """Stragglers: dated on a day that was over by more than the slack when it was read."""
        log.warning("%s: %d messages of %s came after the day was committed.", self._report.slug, len(records), day)
        self._store.amend(self._report.slug, self._report.chat_id, day, records, people)
        return len(records)

    async def _commit_whole_days(self, touched: Sequence[Segment]) -> None:
        for day in self._days_reached(touched):
            parts = [s for s in self._segments if s.start < day_end(day) and s.end > day_start(day)]
            if all(s.passed >= min(s.end, day_end(day)) for s in parts):
                committed = await asyncio.to_thread(self._commit, day)
                self._report.days.append(committed)
                self._open_days.remove(day)
                self._tell(committed)
            else:
                self._note_covered(day, touched)

    def _days_reached(self, touched: Sequence[Segment]) -> list[date]:
        """The days not yet committed that these segments have begun or passed."""
        reached: set[date] = set()
        for segment in touched:
            first = bisect_left(self._open_days, day_of(segment.start))
            last = bisect_right(self._open_days, day_of(min(segment.passed, segment.end - 1)))
            reached.update(self._open_days[first:last])
        return sorted(reached)

    def _note_covered(self, day: date, touched: Sequence[Segment]) -> None:
        """Remember that a part of the day is read to its end while another part is not."""
        for segment in touched:
            start, end = max(segment.start, day_start(day)), min(segment.end, day_end(day))
            if start < end <= segment.passed:
                self._pending.mark_covered(start, end)

    def _commit(self, day: date) -> CommittedDay:
        report = self._report
        committed = self._store.commit(
            report.slug,
            report.chat_id,
            day,
            self._pending.parts(day),
            sealed=self._until >= day_end(day),
            now=int(self._clock.now()),
        )
        self._progress.commit(report.slug, day, committed.last_message_id, sealed=committed.sealed)
        self._pending.mark_committed(day)
        return committed

    def _tell(self, committed: CommittedDay | None = None) -> None:
        if self._on_progress is not None:
            report = self._report
            done = len(report.days) + len(report.resumed_days)
            self._on_progress(
                FetchProgress(done, len(report.range), report.messages, report.meter.total_calls, committed)
            )


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What stopped the readers: of several, one that trying again would not mend."""
    leaves = [
        e
        for error in group.exceptions
        for e in (error.exceptions if isinstance(error, BaseExceptionGroup) else (error,))
    ]
    return next((error for error in leaves if not isinstance(error, RetryableError)), leaves[0])
