"""Days as Dagster's partitions: the partition key is the UTC day as `YYYY-MM-DD`."""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache

import dagster as dg

from tg_pipeline.contracts.days import DayRange


@cache
def daily_partitions(start: date) -> dg.DailyPartitionsDefinition:
    """UTC days from `start` up to and including today. One object for every chat that begins on that day."""
    return dg.DailyPartitionsDefinition(start_date=str(start), timezone="UTC", end_offset=1)


def contiguous(keys: Iterable[str]) -> list[DayRange]:
    """The partition keys as ranges without gaps, ascending: scattered days become several."""
    ranges: list[DayRange] = []
    for day in sorted({date.fromisoformat(key) for key in keys}):
        if ranges and ranges[-1].last + timedelta(days=1) == day:
            ranges[-1] = DayRange(ranges[-1].first, day)
        else:
            ranges.append(DayRange(day, day))
    return ranges
