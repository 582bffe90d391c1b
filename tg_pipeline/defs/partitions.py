"""Days as Dagster's partitions: the partition key is the UTC day as `YYYY-MM-DD`."""

from collections.abc import Sequence
from datetime import date
from functools import cache

import dagster as dg

from tg_pipeline.contracts.days import DayRange


@cache
def daily_partitions(start: date) -> dg.DailyPartitionsDefinition:
    """UTC days from `start` up to and including today. One object for every chat that begins on that day."""
    return dg.DailyPartitionsDefinition(start_date=str(start), timezone="UTC", end_offset=1)


def day_range(keys: Sequence[str]) -> DayRange:
    """The days of a run, whose partition keys are ascending and without gaps: Dagster makes a run of each piece."""
    return DayRange(date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))
