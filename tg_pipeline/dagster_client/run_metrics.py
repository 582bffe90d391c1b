"""How Dagster's runs ended, and whether its sensors tick, as metrics."""

import time
from collections.abc import Iterable

import dagster as dg

from tg_pipeline.dagster_client.ticks import heartbeats
from tg_pipeline.dagster_internals.history import counted_runs
from tg_pipeline.monitoring.metrics import Sample
from tg_pipeline.observability import metrics
from tg_pipeline.settings import Settings


def of_runs(instance: dg.DagsterInstance) -> Iterable[Sample]:
    """Counted in Dagster's history, and what retention has removed from it."""
    finished, successful = counted_runs(instance)
    yield metrics.RUNS, [], finished
    yield metrics.RUNS_SUCCESSFUL, [], successful


def of_ticks(instance: dg.DagsterInstance, settings: Settings) -> Iterable[Sample]:
    """The last tick of what is most overdue, and how often it comes; whether queued runs move."""
    found, now = heartbeats(instance, settings), time.time()
    last = max((*found.beats, *found.ticks), key=lambda beat: beat.missed(now))
    yield metrics.SCHEDULER_LAST_TICK, [], last.at or 0.0
    yield metrics.SCHEDULER_INTERVAL, [], last.interval_seconds
    yield metrics.RUNS_STALLED, [], found.runs.stalled_seconds
