"""How Dagster's runs ended, as metrics, and the sensor that pushes what is read from the state."""

import time
from collections.abc import Iterable
from functools import partial

import dagster as dg

from tg_pipeline.dagster_internals.history import counted_runs
from tg_pipeline.defs.ticks import heartbeats
from tg_pipeline.monitoring.metrics import Sample, push
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


def metrics_sensor(settings: Settings) -> dg.SensorDefinition:
    """Pushes by METRICS_PUSH_INTERVAL_SECONDS, also what runs had counted that were killed before they pushed it."""

    @dg.sensor(
        name="metrics",
        minimum_interval_seconds=int(settings.metrics_push_interval_seconds) or 1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Pushes metrics to the Pushgateway.",
    )
    def metrics_(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from tg_pipeline.monitoring.derived import reads  # noqa: PLC0415 - brings Redis

        try:
            of_dagster = partial(of_runs, context.instance), partial(of_ticks, context.instance, settings)
            push(settings, *reads(settings), *of_dagster)
        except OSError as error:
            context.log.warning("Metrics are not pushed: %s", error)
            return dg.SkipReason(f"Not pushed: {error}")
        return dg.SkipReason("Pushed.")

    return metrics_
