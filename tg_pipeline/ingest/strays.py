"""Messages dated out of the order of their ids: kept until every day is committed, then added to their days' files."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.days import FIRST_DAY, day_of, day_start
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import History, Record
from tg_pipeline.contracts.text import count
from tg_pipeline.ingest.joins import absent, lacking
from tg_pipeline.ingest.moving import Move
from tg_pipeline.ingest.placeholders import Placeholders, is_placeholder
from tg_pipeline.storage.request import PendingRequest

log = logging.getLogger(__name__)


class Strays:
    """Those of one request.

    Their days' files get them no sooner than at its end: the last id of a file must not point past what was read of the
    next day, should the request never be resumed. Until then the files of the days among whose messages they stand, and
    of those that they are dated on, are not sealed, so that the archive says that they are to be fetched again.
    """

    def __init__(self, history: History, store: Archive, pending: PendingRequest, placeholders: Placeholders) -> None:
        self._history = history
        self._store = store
        self._pending = pending
        self._placeholders = placeholders

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._days

    def day_of(self, message_id: int) -> date | None:
        """The day of one of them."""
        return self._days.get(message_id)

    @cached_property
    def _days(self) -> dict[int, date]:
        bodies = (orjson.loads(line) for spool in self._pending.strays() for line in spool.lines())
        return {body["id"]: date.fromisoformat(body["date"][:10]) for body in bodies}

    def unknown(self, slug: str, records: Sequence[Record], open_days: Collection[date]) -> list[Record]:
        """Those dated on a day that was read to its end, other than `open_days`, and that its file lacks.

        Of a message that can be decoded now, the file may have a placeholder: then it lacks the message.
        """
        by_day: defaultdict[date, list[Record]] = defaultdict(list)
        for record in records:
            by_day[day_of(record.timestamp)].append(record)
        found: list[Record] = []
        for day, of_day in by_day.items():
            if day not in open_days:
                missing = lacking(self._store, slug, day, [record.id for record in of_day])
                found += [r for r in of_day if r.id in missing or self._placeholders.stands_for(r)]
        return found

    def wait(self, slug: str, among: date, records: Sequence[Record]) -> None:
        """Unseal the request's days that such messages keep from being whole, where these are in no file yet."""
        by_day: defaultdict[date, list[int]] = defaultdict(list)
        for record in records:
            by_day[day_of(record.timestamp)].append(record.id)
        for day, ids in by_day.items():
            sealed = {one for one in (among, day) if one in self._pending.days} - self._pending.waiting
            if sealed and absent(self._store, slug, day, ids):
                for one in sorted(sealed):
                    self._pending.mark_waiting(one)
                    self._store.seal(slug, one, sealed=False)

    def keep(self, slug: str, records: Sequence[Record], people: Mapping[int, Any], today: date) -> list[Record]:
        """Spool what is not there yet, and give that. What is dated before Telegram or after `today` is left out."""
        news: list[Record] = []
        for record in records:
            if not FIRST_DAY <= day_of(record.timestamp) <= today:
                log.warning("%s: message %d is dated %s; it is left out.", slug, record.id, record.body["date"])
            elif record.id not in self and all(record.id != other.id for other in news):
                news.append(record)
        if news:
            self._pending.stray_spool().append(news, people)
            self._days.update((record.id, day_of(record.timestamp)) for record in news)
        return news

    def place(self, report: FetchReport, move: Move) -> None:
        """Add them to the files of their days. A day that was not read gets a file that is not sealed."""
        by_day, people = self._gathered()
        for day, records in sorted(by_day.items()):
            moved = move.conditions(day)
            if not moved:
                log.warning("%s: %s of %s found out of order.", report.slug, count(len(records), "message"), day)
            in_order = [records[number] for number in sorted(records)]
            self._placeholders.expect(day, [record.id for record in in_order if is_placeholder(record)])
            amended = self._store.amend(
                *(report.slug, report.chat_id, day, in_order, people),
                account=self._history.account,
                also=moved,
            )
            report.rewrote(amended)
        for day in self._pending.waited():
            header = self._store.header(report.slug, day)
            if header is None or any(condition.kind == "held_back" for condition in header.conditions):
                continue
            if (done := self._store.seal(report.slug, day, sealed=True)) is not None:
                report.rewrote(done)
        self._placeholders.remove(
            {
                number: day
                for day, records in by_day.items()
                for number, record in records.items()
                if not is_placeholder(record)
            }
        )
        self._pending.mark_placed()

    def _gathered(self) -> tuple[dict[date, dict[int, Record]], dict[int, Any]]:
        """Those of every request by day and id, without placeholders that stand elsewhere by now, and the people."""
        by_day: defaultdict[date, dict[int, Record]] = defaultdict(dict)
        people: dict[int, Any] = {}
        for spool in self._pending.strays():
            people |= {number: orjson.loads(line) for number, line in spool.participants().items()}
            for body in map(orjson.loads, spool.lines()):
                day = date.fromisoformat(body["date"][:10])
                by_day[day][body["id"]] = Record(body["id"], day_start(day), body)
        for day, records in by_day.items():
            unread = [number for number, record in records.items() if is_placeholder(record)]
            for number in self._placeholders.elsewhere(day, unread):
                del records[number]
        return {day: records for day, records in by_day.items() if records}, people
