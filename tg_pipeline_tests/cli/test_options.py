import re
from datetime import UTC, date, datetime

import click
import pytest

from tg_pipeline.cli.options import Day, Zone


def test_a_day_may_be_given_as_a_word_or_a_date() -> None:
    before = datetime.now(UTC).date()
    today, yesterday = Day().convert("today", None, None), Day().convert("yesterday", None, None)
    assert before <= today <= datetime.now(UTC).date()
    assert yesterday.toordinal() in {today.toordinal() - 1, today.toordinal() - 2}
    assert Day().convert("2025-01-31", None, None) == Day().convert(date(2025, 1, 31), None, None) == date(2025, 1, 31)


@pytest.mark.parametrize("flag", ["--from", "--to"])
def test_a_day_that_has_not_begun_is_a_usage_error_about_its_own_flag(flag: str) -> None:
    with pytest.raises(click.UsageError, match=f"^{flag}: 2999-01-01 is in the future") as raised:
        Day().convert("2999-01-01", click.Option([flag]), None)
    assert str(raised.value).count("--") == 1


@pytest.mark.parametrize("text", ["2025-02-30", "tomorrow", "", "2025-1-1", "20250101", "2025-01-01T00:00"])
def test_what_is_no_day_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match=f"^date: {re.escape(repr(text))} "):
        Day().convert(text, None, None)


@pytest.mark.parametrize("text", ["Mars/Base", "", "/etc/passwd", "../x"])
def test_what_is_no_time_zone_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match=f"^{re.escape(repr(text))} is no time zone, such as Europe/Berlin"):
        Zone().convert(text, None, None)
