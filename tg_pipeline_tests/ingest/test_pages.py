"""Which pages are believed: what cannot be seen in a whole fetch without a chance meeting of its segments."""

from datetime import date

import pytest

from tg_pipeline.contracts.days import DayRange, day_start
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import Cursor
from tg_pipeline.ingest.pages import PageReader
from tg_pipeline_tests.ingest.memory_history import CHAT, CHAT_ID, MemoryHistory, Said

DAY = date(2024, 3, 1)


@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_a_page_that_a_date_led_to_before_is_believed_however_short_pages_are(page_size: int) -> None:
    messages = [Said(n, day_start(DAY) + n * 3_600) for n in range(1, 20)]
    history = MemoryHistory(messages, float(day_start(DAY) + 86_400), page_size=page_size)
    pages = PageReader(history, FetchReport(CHAT, CHAT_ID, DayRange(DAY, DAY)), rereads=3)
    by_date = await pages.page(Cursor(since=day_start(DAY) + 11 * 3_600 - 1))
    by_id = await pages.page(Cursor(since=day_start(DAY), after_id=10))
    assert by_date.ids[0] == by_id.ids[0] == 11
