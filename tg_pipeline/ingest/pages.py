"""Reading one page and believing it only when it is in order."""

import logging

from tg_pipeline.contracts.errors import PageIntegrityError
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import Cursor, History, Page

log = logging.getLogger(__name__)


async def read_page(history: History, cursor: Cursor, report: FetchReport, rereads: int) -> Page:
    """The page at `cursor`, its ids strictly ascending and all beyond the cursor.

    A page that repeats or reorders ids is counted and read again, up to `rereads` times; then PageIntegrityError.
    Telethon's own iterator ends silently there (telegram-facts: "Reading history").
    """
    for _ in range(rereads + 1):
        page = await history.page(cursor)
        report.pages += 1
        wrong = _out_of_order(page, cursor)
        if not wrong:
            return page
        report.repeated += wrong
        report.rereads += 1
        log.warning("%s: a page after %s repeats or reorders %d ids; reading it again.", report.slug, cursor, wrong)
    raise PageIntegrityError(
        f"{report.slug}: the page after message {cursor.after_id} repeats or reorders ids, {rereads + 1} times over."
    )


def _out_of_order(page: Page, cursor: Cursor) -> int:
    last = cursor.after_id or 0
    wrong = 0
    for number in page.ids:
        if number > last:
            last = number
        else:
            wrong += 1
    return wrong
