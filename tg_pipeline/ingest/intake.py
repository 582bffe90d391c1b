"""From pages to spools: which messages of a page a segment takes, which stand aside, and what is spooled where."""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from itertools import product, takewhile
from typing import Any

from tg_pipeline.contracts.days import SECONDS_PER_DAY, day_of, day_start
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import Page, Record
from tg_pipeline.ingest.background import to_its_end
from tg_pipeline.ingest.placeholders import Placeholders, is_placeholder
from tg_pipeline.ingest.segments import Segment
from tg_pipeline.ingest.sorting import sort_out
from tg_pipeline.ingest.strays import Strays
from tg_pipeline.observability import metrics
from tg_pipeline.storage.request import PendingRequest


class Intake:
    """What one request has taken. `segments` and `open_days` are the request's own and change while it runs.

    `until` is the end of history (POSIX s). `commit` is called with a segment each time that days may be whole by it.
    """

    def __init__(  # noqa: PLR0913 - the state of the request that it shares
        self,
        pending: PendingRequest,
        strays: Strays,
        placeholders: Placeholders,
        report: FetchReport,
        *,
        segments: Sequence[Segment],
        open_days: Collection[date],
        until: int,
        commit: Callable[[Sequence[Segment]], Awaitable[None]],
    ) -> None:
        self._pending = pending
        self._strays = strays
        self._placeholders = placeholders
        self._report = report
        self._segments = segments
        self._open_days = open_days
        self._until = until
        self._commit = commit
        self.seen: dict[int, date] = {}
        """The days of messages that came along and are of no segment, or have placeholders: none of them is gone."""
        for day, number in product(pending.ids(), placeholders.standing):
            if pending.holds(day, number) and number not in pending.parts(day).unreadable:
                self.seen[number] = day
        self._empty: set[int] = set()
        self.pointers: dict[date, int] = {}
        """The last id taken of each day in flight, since they were last saved."""

    async def take(self, segment: Segment, page: Page, *, ended: bool, ends_at: int | None) -> None:
        """Spool the messages of the page that belong to the segment, and commit the days that are whole by it.

        First those that are out of order, then day by day: the last id of a spool is where an interrupted read goes on,
        and a kill on a page of many days leaves one of them half done and not all.
        """
        people = page.participants()
        if segment.held:
            people = {r.body["from_id"]: one for r, one in segment.held if one is not None} | dict(people)
        others = [s for s in self._segments if s is not segment and s.has_taken_of(page.ids)]
        came = [
            record
            for record in page.records()
            if (ends_at is None or record.id < ends_at) and not any(s.has_taken(record.id) for s in others)
        ]
        elsewhere: list[Record] = []
        if any(map(is_placeholder, came)):
            came, elsewhere = await to_its_end(self._placed, segment, came)
        records = [*(record for record, _ in segment.held), *map(segment.dated, came)]
        found = sort_out(records, segment, self._until, joined=ended and ends_at is not None)
        segment.held = [] if ended else [(r, people.get(r.body["from_id"])) for r in found.after]
        if segment.first_id is not None and found.after:
            segment.taken_id = found.after[0].id - 1
        elif segment.first_id is not None and page.ids:
            segment.taken_id = page.ids[-1] if ends_at is None else min(page.ids[-1], ends_at - 1)
        if ended and found.after:
            segment.left_from = found.after[0].id
        self._count_empty(segment, page)
        outside = [*found.before, *found.after]
        came_along = (
            (r for r in page.records() if r.id in self._placeholders.standing) if self._placeholders.standing else ()
        )
        self.seen |= {r.id: day_of(r.timestamp) for r in (*outside, *came_along) if not is_placeholder(r)}
        strays = [record for group in found.strays.values() for record in group] + elsewhere
        if ended and found.after and found.after[0].id == segment.first_id:
            strays += takewhile(is_placeholder, found.after)  # by date nothing leads to them again
        if outside:
            strays += await to_its_end(self._strays.unknown, self._report.slug, outside, self._open_days)
        for number, group in found.strays.items():
            await to_its_end(self._strays.wait, self._report.slug, day_of(number * SECONDS_PER_DAY), group)
        self._report.messages += self._keep_strays(strays, people)
        for number, group in found.days.items():
            self._doubt_days_before(segment, number * SECONDS_PER_DAY, group[0])
            segment.taken(page, ended=ended, before=number * SECONDS_PER_DAY)
            await self._commit([segment])
            taken_now = self._spool(segment, day_of(group[0].timestamp), group, people)
            self._report.messages += taken_now
            self._report.repeated += len(group) - taken_now
            metrics.DEDUPLICATED_MESSAGES.labels(self._report.slug).inc(len(group) - taken_now)
        segment.taken(page, ended=ended)
        await self._commit([segment])

    def _placed(self, segment: Segment, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
        """The records that may belong to the segment, and placeholders that stay on another day of the request.

        Those of which the file of a day that was read to its end has the id are in neither.
        """
        here: list[Record] = []
        elsewhere: list[Record] = []
        for record in records:
            moved = self._placeholders.placed(segment.dated(record), record.timestamp)
            day = day_of(moved.timestamp)
            if not is_placeholder(record) or day == day_of(segment.dated(record).timestamp):
                here.append(record)
            elif day in self._open_days:
                (here if segment.start <= moved.timestamp < segment.end else elsewhere).append(moved)
        return here, elsewhere

    def _doubt_days_before(self, segment: Segment, at: int, record: Record) -> None:
        """Seal no day before a placeholder's (POSIX s) until that is archived: its message may be of any of them."""
        for day in self._open_days if is_placeholder(record) else ():
            if segment.start <= day_start(day) < at and day not in self._pending.waiting | self._pending.committed:
                self._pending.mark_waiting(day)

    def left_a_gap(self, segment: Segment, *, ended: bool) -> bool:
        """Whether a date led past messages that the segment then goes on from: those that the one before it left.

        Or placeholders of its days: what they stand for may be dated on a day before it.
        """
        before = next((s for s in self._segments if s.end == segment.start and s.left_from is not None), None)
        begins_at = math.inf if segment.first_id is None and ended else segment.first_id or 0
        if segment.floor is not None and not segment.taken_id and begins_at > segment.floor:
            segment.go_on_after(segment.floor - 1)
            segment.floor = None
            return True
        if before is None or segment.taken_id or begins_at <= (before.left_from or 0):
            return False
        segment.go_on_after(before.taken_id)
        before.left_from = None
        return True

    def skips_taken(self, segment: Segment) -> bool:
        """Pass over what another segment has taken, if any: dates out of order may lead two of them to one place."""
        after = segment.after_id
        if after is not None:
            others = (s.taken_id for s in self._segments if s is not segment and s.has_taken(after))
            segment.after_id = max(after, *others, 0)
        return segment.after_id != after

    def is_joined(self, page: Page) -> bool:
        """Whether the page reaches what the files of the days behind the range hold, where there are such files."""
        return not self._strays.unknown(self._report.slug, page.records()[-2:], self._open_days)

    def covers(self, message_id: int) -> bool:
        """Whether a message of that id would be in the spool of its day, if there still were one."""
        if message_id in self._strays or message_id in self.seen:
            return False
        # The day of what a placeholder stands for is not known: the read may begin by a date that leads past it, and
        # end behind its own days, where the placeholder's are.
        stands = message_id in self._placeholders.standing
        return any(s.has_passed(message_id) if stands else s.covers(message_id) for s in self._segments)

    def _spool(self, segment: Segment, day: date, records: Sequence[Record], people: Mapping[int, Any]) -> int:
        """Append what the spool lacks; how many that was."""
        if day in self._pending.committed:
            self._strays.wait(self._report.slug, day, records)
            return self._keep_strays(records, people)
        part = max(segment.start, day_start(day))
        spool = self._pending.spool(day, part)
        news = [record for record in records if not self._pending.holds(day, record.id)]
        if not news:
            return 0
        spool.append(news, people)
        self._count_unreadable(news)
        if part == day_start(day):
            self.pointers[day] = news[-1].id
        return len(news)

    def _keep_strays(self, records: Sequence[Record], people: Mapping[int, Any]) -> int:
        """Put messages aside that are out of order; how many were not there yet."""
        kept = self._strays.keep(self._report.slug, records, people, day_of(self._until))
        self._count_unreadable(kept)
        return len(kept)

    def _count_empty(self, segment: Segment, page: Page) -> None:
        """Count the ids of which nothing else came. Without a date they are of the day of what precedes them."""
        if len(page.ids) > len(page.timestamps):
            dates = {record.id: record.timestamp for record in page.records()}
            within = takewhile(lambda number: dates.get(number, 0) < segment.end, page.ids)
            self._empty.update(number for number in within if number not in dates)
            self._report.empty = len(self._empty)

    def _count_unreadable(self, records: Sequence[Record]) -> None:
        unreadable = sum(map(is_placeholder, records))
        if unreadable:
            self._report.unreadable += unreadable
            metrics.UNREADABLE_MESSAGES.labels(self._report.slug).inc(unreadable)
