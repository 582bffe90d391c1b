"""Days as people write them."""

from datetime import date

import pytest

from tg_pipeline.contracts.days import parse_day
from tg_pipeline.contracts.errors import InputError


def test_a_day_is_read() -> None:
    assert parse_day("2024-02-29") == date(2024, 2, 29)
    assert parse_day("2013-01-01") == date(2013, 1, 1)


@pytest.mark.parametrize("text", ["2025-02-30", "2025-1-1", "20250101", "soon", "", "2025-01-01T00"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^--from: .* is not a day\. Write"):
        parse_day(text, "--from")


def test_a_day_before_there_was_telegram_is_refused() -> None:
    with pytest.raises(InputError, match=r"^--from: 2012-12-31 is before .* first day that can be read is 2013-01-01"):
        parse_day("2012-12-31", "--from")
