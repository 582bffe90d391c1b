"""The end of runs that no command caused, told by a sensor that forgets none.

Dagster's own run status sensors go on to the next run also when telling of one failed, which would lose the events of
every run that ends while Redis is away (run_status_sensor_definition.py, 1.13.27: the cursor moves after an error).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.commands import AcceptedCommand
from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.defs.launching import (
    Outcome,
    command_of,
    days_of,
    ended_between,
    is_over,
    outcome,
    outcome_of_runs,
    since_cursor,
    slugs_of,
)
from tg_pipeline.defs.run_events import as_command, event_id
from tg_pipeline.defs.skipping import skipping, summary

LOOK_EVERY_SECONDS = 5


def tell_ended_runs(
    instance: dg.DagsterInstance,
    queue: CommandQueue,
    chats: Mapping[str, RegisteredChat],
    span: tuple[datetime, datetime],
    days_per_run: int,
) -> tuple[datetime, Counter[str]]:
    """Publish the last event of runs that ended within `span`, the oldest first; until when, and how many events.

    Raises StateUnavailable, and then the same runs are told of the next time.
    """
    records, until = ended_between(instance, *span)
    done: Counter[str] = Counter()
    for record in records:
        with skipping(f"Run {record.dagster_run.run_id}", done):
            done["published"] += _tell_run(instance, queue, chats, record, days_per_run)
    return until, done


def _tell_run(
    instance: dg.DagsterInstance,
    queue: CommandQueue,
    chats: Mapping[str, RegisteredChat],
    record: dg.RunRecord,
    days_per_run: int,
) -> int:
    command = command_of(record.dagster_run.tags)
    if command is not None:
        return is_over(instance, command, days_per_run) and tell_ended(queue, instance, command)
    slugs, days = slugs_of(record.dagster_run), days_of(record.dagster_run.tags)
    if days is None or _is_retried(record):
        return 0
    return sum(
        _tell(
            queue,
            as_command(event_id(record.dagster_run.run_id, slug, slugs), chats[slug], days),
            outcome_of_runs(instance, slug, [record]),
        )
        for slug in slugs
        if slug in chats
    )


def tell_ended(queue: CommandQueue, instance: dg.DagsterInstance, command: AcceptedCommand) -> bool:
    """Publish the last event of a command that is over; False where it is out."""
    return not queue.has_ended(command.id) and _tell(queue, command, outcome(instance, command))


def _tell(queue: CommandQueue, command: AcceptedCommand, found: Outcome) -> bool:
    ended = command.event(
        "completed" if found.status == "success" else "failed",
        found.status,
        processed=found.processed,
        errors=found.errors,
        duration_sec=found.duration_sec,
        error_type=found.error_type,
        message=found.message,
    )
    return queue.finish(ended, started=command.event("started", "running"))


def ended_runs_sensor(
    queue: CommandQueue, chats: Sequence[RegisteredChat], *, days_per_run: int
) -> dg.SensorDefinition:
    """Looks every five seconds. Runs as soon as Dagster does."""
    by_slug = {chat.slug: chat for chat in chats}

    @dg.sensor(
        name="ended_runs",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes how runs ended that could not tell it themselves.",
    )
    def ended_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        since, before = since_cursor(context.cursor)
        try:
            until, done = tell_ended_runs(context.instance, queue, by_slug, (since, before), days_per_run)
        except StateUnavailable as error:
            context.log.warning("Events wait: %s", error)
            until, done = since, Counter()
        context.update_cursor(until.isoformat())
        return dg.SkipReason(summary(done) or "No runs ended.")

    return ended_runs


def _is_retried(record: dg.RunRecord) -> bool:
    return record.dagster_run.tags.get("dagster/will_retry") == "true"
