"""What our loggers write, as the JSON lines that programs read."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tg_pipeline.observability.logs import OURS, json_formatter
from tg_pipeline_tests.contracts.schema_checks import check_log


@contextmanager
def json_lines(level: str = "INFO") -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A function that gives the lines written in the block so far; each fits the schema."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(json_formatter())
    ours = logging.getLogger(OURS)
    before = ours.level
    ours.setLevel(level)
    ours.addHandler(handler)
    try:
        yield lambda: check_log(stream.getvalue())
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before)
