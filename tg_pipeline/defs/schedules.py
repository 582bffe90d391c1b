"""When chats are fetched by themselves."""

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from hashlib import sha256

import dagster as dg

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.dagster_client.names import CHAT_TAG, PARTITION_TAG, SESSION_TAG, messages_key
from tg_pipeline.settings import Settings

MINUTES_AFTER_MIDNIGHT = 20
"""UTC. Time for the last messages of the day to arrive, and for a clock that is a little off."""

_ANY_ASSETS = "__ASSET_JOB"
"""The job under which Dagster runs whatever assets are picked in the UI: a job of our own cannot hold assets whose
partitions begin on different days."""


def daily_schedule(settings: Settings, chats: Sequence[RegisteredChat]) -> dg.ScheduleDefinition:
    """Yesterday of every chat, a run for each session. Stopped until somebody starts it in the UI."""

    @dg.schedule(
        name="fetch_yesterday",
        cron_schedule=f"{MINUTES_AFTER_MIDNIGHT} 0 * * *",
        execution_timezone="UTC",
        job_name=_ANY_ASSETS,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Fetches the day before of every chat, at 00:20 UTC.",
    )
    def fetch_yesterday(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from tg_pipeline.app.shares import shares  # noqa: PLC0415 - brings Telethon, which no run needs for this

        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        due = [chat for chat in chats if (chat.start or settings.start_date) <= yesterday]
        for session, share in shares(settings, due).items():
            slugs = sorted(chat.slug for chat in share)
            # Named by its chats: where a tick is carried out again and divides them otherwise, none is left out.
            run_key = f"{yesterday}:{sha256(','.join(slugs).encode()).hexdigest()}"
            wish = {SESSION_TAG: session} if session else {}
            of_one = {CHAT_TAG: slugs[0]} if len(slugs) == 1 else {}
            yield dg.RunRequest(
                run_key=run_key,
                asset_selection=[messages_key(slug) for slug in slugs],
                tags={PARTITION_TAG: str(yesterday), **wish, **of_one},
            )
        if not due:
            yield dg.SkipReason(f"No chat has a partition for {yesterday}.")

    return fetch_yesterday
