"""When chats are fetched by themselves."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, timedelta

import dagster as dg

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.dagster_client.names import CHAT_TAG, PARTITION_TAG, messages_key

MINUTES_AFTER_MIDNIGHT = 20
"""UTC. Time for the last messages of the day to arrive, and for a clock that is a little off."""

_ANY_ASSETS = "__ASSET_JOB"
"""The job under which Dagster runs whatever assets are picked in the UI: a job of our own cannot hold assets whose
partitions begin on different days."""


def daily_schedule(chats: Sequence[RegisteredChat], *, start: date) -> dg.ScheduleDefinition:
    """Yesterday of every chat, a run each. Stopped until somebody starts it in the UI."""

    @dg.schedule(
        name="fetch_yesterday",
        cron_schedule=f"{MINUTES_AFTER_MIDNIGHT} 0 * * *",
        execution_timezone="UTC",
        job_name=_ANY_ASSETS,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Fetches the day before of every chat, at 00:20 UTC.",
    )
    def fetch_yesterday(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        due = [chat for chat in chats if (chat.start or start) <= yesterday]
        for chat in due:
            yield dg.RunRequest(
                run_key=f"{chat.slug}:{yesterday}",
                asset_selection=[messages_key(chat.slug)],
                tags={CHAT_TAG: chat.slug, PARTITION_TAG: str(yesterday)},
            )
        if not due:
            yield dg.SkipReason(f"No chat has a partition for {yesterday}.")

    return fetch_yesterday
