import re
from datetime import UTC, date, datetime

import click
import pytest

from tg_pipeline.cli.options import Day, Zone, count


@pytest.mark.parametrize(("number", "text"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (12_345, "12,345 days")])
def test_a_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert count(number, "day") == text


def test_a_day_may_be_given_as_a_word_or_a_date() -> None:
    before = datetime.now(UTC).date()
    today, yesterday = Day().convert("today", None, None), Day().convert("yesterday", None, None)
    assert before <= today <= datetime.now(UTC).date()
    assert yesterday.toordinal() in {today.toordinal() - 1, today.toordinal() - 2}
    assert Day().convert("2025-01-31", None, None) == Day().convert(date(2025, 1, 31), None, None) == date(2025, 1, 31)


@pytest.mark.parametrize("text", ["2025-02-30", "tomorrow", "", "2025-1-1", "20250101", "2025-01-01T00:00"])
def test_what_is_no_day_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match=f"^date: {re.escape(repr(text))} "):
        Day().convert(text, None, None)


@pytest.mark.parametrize("text", ["Mars/Base", "", "/etc/passwd", "../x"])
def test_what_is_no_time_zone_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match=f"^{re.escape(repr(text))} is no time zone, such as Europe/Berlin"):
        Zone().convert(text, None, None)
