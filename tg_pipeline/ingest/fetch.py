"""One request: read a chat's range of days, commit each day the moment it is whole, leave nothing behind.

What holds at every instant, so that a kill costs the pages in flight and a look at each half-read day (ADR 0041): the
spool of a day's part holds every message of its interval up to its last id; a day is committed when the parts that make
it up were read to their ends; the pending request forgets a day's spools only after the day file is in place.
"""

import asyncio
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import date

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.days import day_end, day_of, day_start
from tg_pipeline.contracts.errors import ChatMoved, Stopped
from tg_pipeline.contracts.fetch import CommittedDay, FetchProgress, FetchReport, OnProgress
from tg_pipeline.contracts.history import History, Page
from tg_pipeline.contracts.policy import FetchPolicy
from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.contracts.text import count
from tg_pipeline.ingest.background import cancel, to_its_end, until_sent, worst
from tg_pipeline.ingest.intake import Intake
from tg_pipeline.ingest.joins import edge_before
from tg_pipeline.ingest.moving import Move, report_predecessor
from tg_pipeline.ingest.pages import PageReader
from tg_pipeline.ingest.past import Past, count_conditions
from tg_pipeline.ingest.placeholders import Placeholders
from tg_pipeline.ingest.resuming import reopen_unseen
from tg_pipeline.ingest.segments import Segment, plan, split
from tg_pipeline.ingest.strays import Strays
from tg_pipeline.observability import metrics
from tg_pipeline.storage.deletions import Deletions
from tg_pipeline.storage.request import PendingRequest

PROGRESS_SECONDS = 1.0

log = logging.getLogger(__name__)


class Fetch:
    """The state of one running request. Call `run` once."""

    def __init__(  # noqa: PLR0913 - the ports and values it joins
        self,
        history: History,
        store: Archive,
        pending: PendingRequest,
        report: FetchReport,
        *,
        policy: FetchPolicy,
        clock: Clock,
        stop: Stop | None = None,
        on_progress: OnProgress | None = None,
        accept_deletions: bool = False,
    ) -> None:
        self._history = history
        self._store = store
        self._pending = pending
        self._report = report
        self._policy = policy
        self._clock = clock
        self._stop = stop or Stop()
        self._on_progress = on_progress
        self._accept_deletions = accept_deletions
        self._past = Past(history, store, report.slug)
        self._deletions = Deletions()
        self._until = 0
        self._placeholders = Placeholders(history, store, report)
        self._strays = Strays(history, store, pending, self._placeholders)
        self._move = Move(history, store, report.slug)
        self._pages = PageReader(history, report, rereads=policy.page_rereads, resumed=pending.resumed)
        self._segments: list[Segment] = []
        self._intake: Intake
        self._open_days: list[date] = []
        self._busy: list[Segment] = []
        self._writing = asyncio.Lock()
        """One page or day is written at a time: a commit, which runs in a thread, looks at all spools."""
        self._pointers_saved = 0.0

    async def run(self) -> FetchReport:
        """Read to the end. Raises what History, PendingRequest and Archive raise; the next call goes on from there.

        Raises Stopped if a stop was asked for before the last day was committed, once the pages in hand are. The
        server's clock decides which days are over. An InputError where the range ends after the server's today.
        """
        began, status = self._clock.steady(), "failed"
        try:
            self._until = int(await self._history.now())
            self._report.range.not_in_future(day_of(self._until))
            await to_its_end(self._move.recall, self._report.range.last)
            self._reopen_lost_days()
            self._reopen_stale_days()
            await self._reopen_unseen_days()
            self._note_resumed_days()
            self._open_days = [day for day in self._report.range if day not in self._pending.committed]
            self._segments = plan(
                self._report.range, self._pending.committed, self._pending.covered, self._pending.ids()
            )
            self._intake = Intake(
                *(self._pending, self._strays, self._placeholders, self._report),
                segments=self._segments,
                open_days=self._open_days,
                until=self._until,
                commit=self._commit_whole_days,
            )
            log.info("Reading %s %s.", self._report.slug, self._report.range)
            await self._read_all()
            if self._pending.undecided and all(segment.done for segment in self._segments):
                self._deletions.end()
                await self._commit_whole_days(self._segments)
            if any(not self._move.is_before(day) for day in self._open_days):
                await self._save_pointers()
                status = "stopped"
                raise Stopped(self._how_far())
            report_predecessor(self._report, self._past.lowest)
            if self._open_days:
                await self._keep_last_message()
            await to_its_end(self._strays.place, self._report, self._move)
            await to_its_end(self._placeholders.remove, self._intake.seen)
            if self._open_days:
                self._pending.finish()
                raise ChatMoved(self._move.sentence())
            status = "success"
        finally:
            self._report.duration_seconds = self._clock.steady() - began
            metrics.FETCH_DURATION.labels(self._report.slug, status).observe(self._report.duration_seconds)
        self._pending.finish()
        held_back = len(self._report.with_condition("held_back"))
        log.info(
            "%s %s is %s: %s read with %s.",
            *(self._report.slug, self._report.range),
            f"not archived as it was read, {count(held_back, 'day')} held back" if held_back else "archived",
            *(count(self._report.messages, "message"), count(self._report.meter.total_calls, "call")),
            extra={"duration_ms": round(self._report.duration_seconds * 1_000)},
        )
        return self._report

    async def _keep_last_message(self) -> None:
        """Of a group that moved: its last message says so, and is archived whatever days were asked for."""
        is_reported = any(c.kind == "moved" for day in self._report.days for c in day.conditions)
        if is_reported or self._move.is_archived:
            return
        last = await self._history.newest()
        self._move.saw(last)
        await to_its_end(self._strays.keep, self._report.slug, last.records(), last.participants(), day_of(self._until))

    def _note_resumed_days(self) -> None:
        report = self._report
        report.resumed_days = sorted(self._pending.committed)
        headers = {day: self._store.header(report.slug, day) for day in report.resumed_days}
        report.resumed_not_visible = [
            day for day, found in headers.items() if found and any(c.kind == "not_visible" for c in found.conditions)
        ]

    def _reopen_lost_days(self) -> None:
        """A day that was committed by an interrupted call is read again where its file is gone, or is held back."""
        for day in sorted(self._pending.committed):
            header = self._store.header(self._report.slug, day)
            if header is None:
                log.warning("%s: the file of %s is gone; the day is read again.", self._report.slug, day)
                self._pending.reopen(day)
            elif any(condition.kind == "held_back" for condition in header.conditions):
                self._pending.reopen(day)
            else:
                self._deletions.judge(day, 0, header.message_count)

    def _reopen_stale_days(self) -> None:
        """A day whose file another request has written since is read again: what was spooled before is older.

        So is one of which only the rest of the interrupted read decides what became of it, and one with placeholders
        that another request has put on another day.
        """
        for day in sorted(self._pending.undecided):
            self._pending.reopen(day)
        for day, spooled_at in self._pending.spooled_at.items():
            written_at = self._store.written_at(self._report.slug, day)
            if day not in self._pending.committing and written_at is not None and written_at > spooled_at:
                log.warning("%s: %s was fetched meanwhile; the day is read again.", self._report.slug, day)
                self._pending.reopen(day)
            elif self._placeholders.elsewhere(day, self._pending.parts(day).unreadable):
                self._pending.reopen(day)

    async def _reopen_unseen_days(self) -> None:
        report = self._report
        for day in self._pending.ids():
            self._placeholders.expect(day, self._pending.parts(day).unreadable)
        try:
            await reopen_unseen(report.slug, report.chat_id, self._history, self._pages, self._pending, self._store)
        except Stopped:
            raise Stopped(self._how_far()) from None
        self._placeholders.reload()

    async def _read_all(self) -> None:
        await self._commit_whole_days(self._segments)
        waiting = [s for s in self._segments if not s.done][::-1]
        more = asyncio.Event()

        async def reader() -> None:
            while not self._stop.asked:
                segment = waiting.pop() if waiting else self._stolen()
                if segment is not None:
                    self._busy.append(segment)
                    try:
                        await self._read(segment, more)
                    finally:
                        self._busy.remove(segment)
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
            raise worst(group) from None

    def _how_far(self) -> str:
        report = self._report
        done = len(report.days) + len(report.resumed_days)
        read = [(day, ids[1]) for day, parts in self._pending.ids().items() for ids in parts.values() if ids]
        read += [(day.day, day.last_message_id) for day in report.days if day.last_message_id]
        last = ", the last of them {1} of {0}".format(*max(read)) if read else ""
        return (
            f"{report.slug}: stopped as asked after {done} of {count(len(report.range), 'day')}, "
            f"{count(report.messages, 'message')} read{last}. Waited {report.meter.waited_seconds:.0f} s; Telegram had "
            f"asked for {report.meter.asked_seconds:.0f} s. The same request goes on from here."
        )

    def _stolen(self) -> Segment | None:
        """The later half of a busy segment."""
        later = split(self._busy, until=self._until, pages=self._report.pages, splits=self._report.splits)
        if later is not None:
            self._report.splits += 1
            self._segments.append(later)
            self._segments.sort(key=lambda s: s.start)
        return later

    async def _read(self, segment: Segment, more: asyncio.Event) -> None:
        """Read one segment to its end. The next page is under way while the last is mapped and written.

        A page that is under way when a stop is asked for is the last; one that still waits to be asked for is none.
        """
        ended = stopping = False
        await self._begin(segment)
        page_under_way = self._ask(segment)
        try:
            while not (ended or stopping):
                try:
                    page = await page_under_way
                except Stopped:
                    return
                ends_at = self._ends_at(segment)
                ended = segment.receive(page, self._until, ends_at=ends_at)
                self._past.saw(page)
                self._move.saw(page)
                if ends_at is None and ended and page.ids:
                    ended = await to_its_end(self._is_joined, segment, page)
                if self._intake.skips_taken(segment):
                    self._pages.begins_after(segment.after_id or 0)
                async with self._writing:
                    stopping = self._stop.asked
                    if self._intake.left_a_gap(segment, ended=ended):
                        self._pages.begins_after(segment.taken_id)
                        ended, page_under_way = False, self._ask(segment)
                        continue
                    if ended and ends_at is None and page.ids:
                        ends_at = self._ends_at(segment)
                        ended = ends_at is None or page.ids[-1] >= ends_at - 1
                    if not (ended or stopping):
                        page_under_way = self._ask(segment)
                        await until_sent()
                    await self._intake.take(segment, page, ended=ended, ends_at=ends_at)
                    if self._clock.now() - self._pointers_saved >= PROGRESS_SECONDS:
                        await self._save_pointers()
                more.set()
                self._tell()
        finally:
            await cancel(page_under_way)

    def _is_joined(self, segment: Segment, page: Page) -> bool:
        """Whether the page reaches what is archived behind the segment, and all that its days have placeholders for."""
        _, last = self._placeholders.span(segment.start, segment.end) or (0, 0)
        return page.ids[-1] >= last and self._intake.is_joined(page)

    def _ask(self, segment: Segment) -> asyncio.Task[Page]:
        return asyncio.create_task(self._pages.page(segment.cursor))

    async def _begin(self, segment: Segment) -> None:
        """Go on from the last id that was read before the segment, where it is known."""
        before = next((s for s in self._segments if s.end == segment.start), None)
        if before is not None:
            if segment.after_id is None and before.done and before.pages:
                segment.go_on_after(before.taken_id)
                self._pages.begins_after(before.taken_id)
            return
        ends = await to_its_end(self._placeholders.span, segment.start, segment.end)
        segment.floor = ends[0] if ends else None
        edge = await to_its_end(edge_before, self._store, self._report.slug, day_of(segment.start))
        if segment.after_id is None and edge.joined:
            segment.go_on_after(edge.last_id)
            # Where nothing else says that a history was cleared, that message is asked for as well.
            segment.after_id = edge.last_id - (self._history.account is not None)
            self._pages.begins_after(segment.after_id)
        elif segment.after_id is None or edge.last_id < segment.after_id:
            segment.covers_from = edge.last_id + 1

    def _ends_at(self, segment: Segment) -> int | None:
        """The id from which on the next segment reads, where it is known."""
        return next((s.first_id for s in self._segments if s.start == segment.end), None)

    async def _save_pointers(self) -> None:
        """Record in `progress.json` how far the days in flight have come."""
        pointers, self._intake.pointers, self._pointers_saved = self._intake.pointers, {}, self._clock.now()
        for day, last_id in pointers.items():
            if day not in self._pending.committed:
                await to_its_end(self._store.advance, self._report.slug, day, last_id)

    async def _commit_whole_days(self, touched: Sequence[Segment]) -> None:
        for day in self._days_reached(touched):
            parts = [s for s in self._segments if s.start < day_end(day) and s.end > day_start(day)]
            if all(s.passed >= min(s.end, day_end(day)) for s in parts):
                if self._move.is_before(day) and self._store.header(self._report.slug, day) is None:
                    continue
                hidden = await self._past.hidden(day, self._pending.parts(day).first_id)
                committed = await to_its_end(self._commit, day, hidden)
                if committed.undecided:
                    continue
                messages = count(committed.message_count, "message")
                log.debug("%s %s is committed: %s.", self._report.slug, day, messages)
                self._report.days.append(committed)
                self._open_days.remove(day)
                self._tell(committed)
            else:
                self._note_covered(day, touched)

    def _days_reached(self, touched: Sequence[Segment]) -> list[date]:
        """The days not yet committed that these segments have begun or passed, but for those that wait for the end."""
        reached: set[date] = set()
        for segment in touched:
            first = bisect_left(self._open_days, day_of(segment.start))
            last = bisect_right(self._open_days, day_of(min(segment.passed, segment.end - 1)))
            reached.update(self._open_days[first:last])
        return sorted(reached if self._deletions.ended else reached - self._pending.undecided)

    def _note_covered(self, day: date, segments: Iterable[Segment]) -> None:
        """Remember that a part of the day is read to its end though the day is not; of today, the part until now."""
        for segment in segments:
            start, end = max(segment.start, day_start(day)), min(segment.end, day_end(day), self._until)
            if start < end <= segment.passed:
                self._pending.mark_covered(start, end)

    def _commit(self, day: date, hidden: Condition | None) -> CommittedDay:
        """Write the day file. A day that is not over keeps its spools: a resumed request reads only the rest of it."""
        report = self._report
        parts = self._pending.parts(day)
        self._placeholders.expect(day, parts.unreadable)
        self._pending.mark_committing(day)
        committed = self._store.commit(
            report.slug,
            report.chat_id,
            day,
            parts,
            sealed=self._until >= day_end(day) and day not in self._pending.waiting,
            now=self._until,
            account=self._history.account,
            conditions=[*([hidden] if hidden else []), *self._move.conditions(day)],
            accept_deletions=self._accept_deletions,
            judge=self._deletions.judge,
            covers=lambda number: number >= self._past.first_visible and self._intake.covers(number),
        )
        if committed.undecided:
            self._pending.mark_undecided(day)
            return committed
        count_conditions(report.slug, committed)
        read = [number for number in self._placeholders.standing if self._pending.holds(day, number)]
        self._placeholders.remove(dict.fromkeys(set(read) - parts.unreadable, day))
        if self._until >= day_end(day):
            self._pending.mark_committed(day)
        else:
            self._note_covered(day, self._segments)
        return committed

    def _tell(self, committed: CommittedDay | None = None) -> None:
        if self._on_progress is not None:
            report = self._report
            done = len(report.days) + len(report.resumed_days)
            self._on_progress(
                FetchProgress(done, len(report.range), report.messages, report.meter.total_calls, committed)
            )
