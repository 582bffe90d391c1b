"""The end of runs that no command caused, published by a sensor that forgets none; `commands` does it for commands.

Where Redis has lost a command, what its runs carry is enough to publish its end.

Dagster's own run status sensors go on to the next run also when reporting one failed, which would lose the events of
every run that ends while Redis is away (run_status_sensor_definition.py, 1.13.27: the cursor moves after an error).
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from tg_pipeline.app.ended import publish_end
from tg_pipeline.app.skipping import skipping, summary
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.bus.scripts import MARKS_TTL_SECONDS
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.events import timestamp
from tg_pipeline.dagster_client.launching import DagsterLauncher
from tg_pipeline.dagster_client.names import days_of
from tg_pipeline.dagster_client.runs import (
    attempts_of,
    command_of,
    ended_between,
    outcome_of_runs,
    since_cursor,
    slugs_of,
)
from tg_pipeline.dagster_internals.tags import AUTO_RETRY_RUN_ID_TAG
from tg_pipeline.defs.run_events import as_command, event_id
from tg_pipeline.state.redis_client import OUTAGE

LOOK_EVERY_SECONDS = 5
RETRY_WITHIN = timedelta(minutes=2)
"""Dagster launches the retry of a run that died within seconds. If it has not by then, the run has failed."""

log = logging.getLogger(__name__)


def publish_ended_runs(
    launcher: DagsterLauncher,
    queue: CommandQueue,
    chats: Mapping[str, RegisteredChat],
    since: datetime,
    before: datetime,
) -> tuple[datetime, Counter[str]]:
    """Publish the last event of runs that ended between these, the oldest first; until when, and how many events.

    Raises StateUnavailable, and then the same runs are looked at the next time.
    """
    records, until = ended_between(launcher.instance, since, before)
    done: Counter[str] = Counter()
    for record in records:
        run = record.dagster_run
        if run.is_complete_and_waiting_to_retry and _ended(record) > before - RETRY_WITHIN:
            return since, done
        with skipping(f"Run {run.run_id}", done):
            if (command := command_of(run.tags)) is not None:
                if _is_lost(queue, command, record) and launcher.is_over(command):
                    log.warning("Redis knows nothing of the command %s: its end is published by its runs.", command.id)
                    done["published"] += publish_end(queue, command, launcher.outcome(command))
            elif AUTO_RETRY_RUN_ID_TAG not in run.tags:
                done["published"] += _publish_run(queue, launcher.instance, chats, record)
        since = _ended(record)
    return until, done


def _is_lost(queue: CommandQueue, command: AcceptedCommand, record: dg.RunRecord) -> bool:
    """Whether Redis knows nothing of a command that it would still know of. Some time after its end it forgets each."""
    if queue.show(command.id) is not None:
        return False
    if datetime.now(UTC) - _ended(record) < timedelta(seconds=MARKS_TTL_SECONDS):
        return True
    log.warning(
        "Redis knows nothing of the command %s. Its run %s ended at %s, and whether that was published is no longer "
        "known: it is not published again.",
        command.id,
        record.dagster_run.run_id,
        timestamp(_ended(record).timestamp()),
    )
    return False


def _publish_run(
    queue: CommandQueue, instance: dg.DagsterInstance, chats: Mapping[str, RegisteredChat], record: dg.RunRecord
) -> int:
    """Publish the last event of a run for each of its chats."""
    run = record.dagster_run
    slugs, days = slugs_of(run), days_of(run.tags)
    if days is None:
        return 0
    done = 0
    # A retry of a run over several chats carries out the steps only that the run before did not come to.
    records = attempts_of(instance, record) if len(slugs) > 1 else [record]
    for slug in slugs:
        found = outcome_of_runs(instance, slug, records)
        if slug not in chats and found.status != "success":
            message = f"{slug} is no longer in the registry, or is disabled."
            found = replace(found, error_type="ChatNotRegistered", message=message)
        chat = chats.get(slug) or RegisteredChat(slug=slug, chat=slug)
        done += publish_end(queue, as_command(event_id(run, slug), chat, days), found)
    return done


def _ended(record: dg.RunRecord) -> datetime:
    return record.update_timestamp.replace(tzinfo=UTC)


def ended_runs_sensor(
    queue: CommandQueue, chats: Sequence[RegisteredChat], *, days_per_run: int
) -> dg.SensorDefinition:
    """Looks every five seconds. Runs as soon as Dagster does."""
    by_slug = {chat.slug: chat for chat in chats}

    @dg.sensor(
        name="ended_runs",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes how runs ended that could not publish it themselves.",
    )
    def ended_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        since, before = since_cursor(context.cursor)
        try:
            launcher = DagsterLauncher(context.instance, days_per_run)
            until, done = publish_ended_runs(launcher, queue, by_slug, since, before)
        except StateUnavailable as error:
            OUTAGE.begin(error)
            until, done = since, Counter()
        context.update_cursor(until.isoformat())
        return dg.SkipReason(summary(done) or "No runs ended.")

    return ended_runs
