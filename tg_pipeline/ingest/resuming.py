"""Whether days that an interrupted request left half read may be gone on with (ADR 0041).

Another account may go on, or the same one after it has joined again or cleared its history. What is hidden from an
account is always a beginning of the history. So a reader that finds the first and the last message that were read of a
day, and none before them, sees all of the day that the earlier reader saw, and nothing that the earlier one did not.
"""

import logging
from datetime import date

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.days import day_end, day_of, day_start
from tg_pipeline.contracts.history import History, Record
from tg_pipeline.ingest.background import to_its_end
from tg_pipeline.ingest.pages import PageReader
from tg_pipeline.ingest.segments import Segment
from tg_pipeline.storage.request import PendingRequest

TRIES = 2
"""A server that answers with a wrong page once must not cost reading the day again."""
PAGES_LOOKED_AT = 3
"""Beyond so many without a message of the day, the day is read again."""

log = logging.getLogger(__name__)


async def reopen_unseen(
    slug: str, chat_id: int, history: History, pages: PageReader, pending: PendingRequest, store: Archive
) -> None:
    """Begin each half-read day again that this reader does not see as the earlier one did.

    What was read of it is put into its file, which is not sealed by that: the earlier reader may have been the last to
    see it. Costs two calls a day, and one for each further part of it that is not read to its end. Raises what
    `History.page` and `Archive.amend` raise.
    """
    half_read = {*pending.ids(), *(day_of(start) for start, _ in pending.covered)} - pending.committed
    for day in sorted(half_read):
        if await _is_seen(day, pages, pending):
            continue
        log.warning("%s: %s is not seen as it was before the interruption; the day is read again.", slug, day)
        await to_its_end(_keep, slug, chat_id, history.account, day, pending, store)
        pending.reopen(day)


async def _is_seen(day: date, pages: PageReader, pending: PendingRequest) -> bool:
    parts = {start: ids for start, ids in pending.ids().get(day, {}).items() if ids is not None}
    if not parts:
        return False
    lowest = min(first for first, _ in parts.values())
    ends = {last for start, (_, last) in parts.items() if all(start != begin for begin, _ in pending.covered)}
    for _ in range(TRIES):
        if await _first_of(day, pages) == lowest:
            break
    else:
        return False
    for last in sorted(ends):
        for _ in range(TRIES):
            if await pages.finds(last):
                break
        else:
            return False
    return True


async def _first_of(day: date, pages: PageReader) -> int | None:
    """The id of the day's first message, read as a segment would read it."""
    segment = Segment(day_start(day), day_end(day))
    for _ in range(PAGES_LOOKED_AT):
        page = await pages.look(segment.cursor)
        if segment.receive(page, segment.end) or segment.first_id is not None:
            break
    return segment.first_id


def _keep(slug: str, chat_id: int, account: int | None, day: date, pending: PendingRequest, store: Archive) -> None:
    parts = pending.parts(day)
    if parts.message_count:
        records = [Record(body["id"], day_start(day), body) for body in map(orjson.loads, parts.lines())]
        people = {number: orjson.loads(line) for number, line in parts.participants().items()}
        store.amend(slug, chat_id, day, records, people, account=account)
