"""Days as Dagster's partitions: the partition key is the UTC day as `YYYY-MM-DD`."""

from datetime import date
from functools import cache

import dagster as dg

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.names import days_of


@cache
def daily_partitions(start: date) -> dg.DailyPartitionsDefinition:
    """UTC days from `start` up to and including today. One object for every chat that begins on that day."""
    return dg.DailyPartitionsDefinition(start_date=str(start), timezone="UTC", end_offset=1)


def run_days(context: dg.AssetExecutionContext) -> DayRange:
    """The days that the run is for, also where some are no partitions any more: Dagster's own answer raises there."""
    days = days_of(context.run.tags)
    assert days is not None  # noqa: S101 - Dagster starts no run of a partitioned asset without them
    return days
