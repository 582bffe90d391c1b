"""The end of runs that no command caused, told by a sensor that forgets none.

Dagster's own run status sensors go on to the next run also when telling of one failed, which would lose the events of
every run that ends while Redis is away (run_status_sensor_definition.py, 1.13.27: the cursor moves after an error).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.commands import AcceptedCommand
from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.events import timestamp
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
from tg_pipeline.state.redis_client import OUTAGE

LOOK_EVERY_SECONDS = 5


def tell_ended_runs(
    instance: dg.DagsterInstance,
    queue: CommandQueue,
    chats: Mapping[str, RegisteredChat],
    span: tuple[datetime, datetime],
    days_per_run: int,
) -> tuple[datetime, int]:
    """Publish the last event of runs that ended within `span`, the oldest first; until when, and of how many.

    Raises StateUnavailable, and then the same runs are told of the next time.
    """
    records, until = ended_between(instance, *span)
    told = 0
    for record in records:
        command = command_of(record.dagster_run.tags)
        if command is not None:
            told += is_over(instance, command, days_per_run) and tell_ended(queue, instance, command)
            continue
        slugs = slugs_of(record.dagster_run)
        days = days_of(record.dagster_run.tags)
        for slug in slugs:
            if days is not None and slug in chats and not _is_retried(record):
                id_ = event_id(record.dagster_run.run_id, slug, slugs)
                told += _tell(queue, as_command(id_, chats[slug], days), outcome_of_runs(instance, slug, [record]))
    return until, told


def tell_ended(queue: CommandQueue, instance: dg.DagsterInstance, command: AcceptedCommand) -> bool:
    """Publish the last event of a command that is over; False where it is out."""
    return not queue.has_ended(command.id) and _tell(queue, command, outcome(instance, command))


def _tell(queue: CommandQueue, command: AcceptedCommand, found: Outcome) -> bool:
    ended = command.event(
        "completed" if found.status == "success" else "failed",
        found.status,
        processed=found.processed,
        errors=found.errors,
        ts=timestamp(found.ended),
        error_type=found.error_type,
        message=found.message,
    )
    return queue.finish(ended, started=command.event("started", "running", ts=timestamp(found.began or found.ended)))


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
            until, told = tell_ended_runs(context.instance, queue, by_slug, (since, before), days_per_run)
        except StateUnavailable as error:
            OUTAGE.begin(error)
            until, told = since, 0
        context.update_cursor(until.isoformat())
        return dg.SkipReason(f"The end of {told} runs was published.")

    return ended_runs


def _is_retried(record: dg.RunRecord) -> bool:
    return record.dagster_run.tags.get("dagster/will_retry") == "true"
