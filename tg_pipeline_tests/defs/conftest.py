from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline_tests.defs.pipeline import Pipeline, pipeline
from tg_pipeline_tests.telegram_account import plain_world


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Pipeline]:
    """`busy`: 30 messages on each of the first ten days of 2024, read a page at a time."""
    with pipeline(plain_world(), tmp_path, "busy", fetch_pages_in_flight=1) as found:
        yield found
