from collections import Counter

import pytest

from tg_pipeline.app.skipping import skipping, summary
from tg_pipeline.contracts.errors import StateUnavailable


def test_an_error_of_one_is_logged_and_counted_and_the_next_is_worked_on(caplog: pytest.LogCaptureFixture) -> None:
    done: Counter[str] = Counter()
    for number in (0, 1):
        with skipping(f"Number {number}", done):
            done["divided"] += 1 // number
    assert done == {"skipped": 1, "divided": 1}
    (record,) = caplog.records
    assert record.exc_info is not None
    assert summary(done) == "1 divided, 1 skipped"


def test_what_concerns_all_is_raised() -> None:
    done: Counter[str] = Counter()
    with pytest.raises(StateUnavailable), skipping("This", done):
        raise StateUnavailable("Redis is away.")
    assert not done
