"""Traces across processes: command -> backfill -> run -> asset, and below that what the asset does.

A command, its backfill and its runs are known to everybody by their ids, so a run needs no more than its tags to know
its parent, and its parent may be reported later. A trace is named as what began it: the command's id, else the run's.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from tg_pipeline.app.command_spans import above_runs
from tg_pipeline.app.skipping import skipping, summary
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.names import BACKFILL_TAG, messages_key
from tg_pipeline.dagster_client.runs import command_of, ended_between, outcome_of_runs, since_cursor, slugs_of
from tg_pipeline.observability import traces
from tg_pipeline.observability.traces import SpanId

LOOK_EVERY_SECONDS = 10


def _of_run(run: dg.DagsterRun) -> SpanId:
    command = command_of(run.tags)
    return SpanId.of(command.id if command else run.run_id, "run", run.run_id)


def _above_run(run: dg.DagsterRun) -> SpanId | None:
    command = command_of(run.tags)
    return above_runs(command) if command else None


@contextmanager
def asset_span(run: dg.DagsterRun, chat: RegisteredChat, days: DayRange, retry_number: int) -> Iterator[None]:
    """The fetch of one chat in one attempt of its step."""
    if not traces.is_tracing():
        yield
        return
    about: dict[str, str | int] = {
        "tg.chat": chat.slug,
        "tg.first_day": str(days.first),
        "tg.last_day": str(days.last),
        "dagster.run_id": run.run_id,
        "dagster.retry_number": retry_number,
    }
    with traces.span(f"asset {messages_key(chat.slug).to_user_string()}", about, _of_run(run)):
        yield


def _trace_run(instance: dg.DagsterInstance, record: dg.RunRecord) -> None:
    run = record.dagster_run
    slugs = slugs_of(run)
    errors = (outcome_of_runs(instance, slug, [record]).error_type for slug in slugs)
    error = next(filter(None, errors), None)
    about: dict[str, str] = {
        "dagster.run_id": run.run_id,
        "dagster.job": run.job_name,
        "dagster.status": run.status.value,
    }
    about |= {"tg.chat": ",".join(slugs)} if slugs else {}
    about |= {"dagster.backfill_id": run.tags[BACKFILL_TAG]} if BACKFILL_TAG in run.tags else {}
    created = record.create_timestamp.timestamp()
    between = (record.start_time or created, record.end_time or created)
    traces.record("run", about, _of_run(run), _above_run(run), between=between, error=error)


def traces_sensor() -> dg.SensorDefinition:
    """Reports runs that have ended, also those that were killed. Runs as soon as Dagster does."""

    @dg.sensor(
        name="traces",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends spans of ended runs to the OpenTelemetry collector.",
    )
    def trace_ended_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        records, until = ended_between(context.instance, *since_cursor(context.cursor))
        done = Counter(ended=len(records))
        for record in records:
            with skipping(f"The span of run {record.dagster_run.run_id}", done):
                _trace_run(context.instance, record)
        context.update_cursor(until.isoformat())
        return dg.SkipReason(summary(done) or "No runs ended.")

    return trace_ended_runs
