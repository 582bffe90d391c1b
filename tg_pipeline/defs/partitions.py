"""Days as Dagster's partitions: the partition key is the UTC day as `YYYY-MM-DD`."""

from collections.abc import Mapping
from datetime import date
from functools import cache

import dagster as dg

from tg_pipeline.contracts.days import DayRange

PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@cache
def daily_partitions(start: date) -> dg.DailyPartitionsDefinition:
    """UTC days from `start` up to and including today. One object for every chat that begins on that day."""
    return dg.DailyPartitionsDefinition(start_date=str(start), timezone="UTC", end_offset=1)


def days_of(tags: Mapping[str, str]) -> DayRange | None:
    """The days that a run with these tags is for, ascending and without gaps: Dagster makes a run of each piece."""
    first, last = (tags.get(tag, tags.get(PARTITION_TAG)) for tag in RANGE_TAGS)
    return DayRange(date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def run_days(context: dg.AssetExecutionContext) -> DayRange:
    """The days that the run is for, also where some are no partitions any more: Dagster's own answer raises there."""
    days = days_of(context.run.tags)
    assert days is not None  # noqa: S101 - Dagster starts no run of a partitioned asset without them
    return days
