"""The job that keeps the instance home from growing without bound, and its schedule."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from tg_pipeline.app.retention import remove_leftovers
from tg_pipeline.dagster_internals.history import remove_old_backfills, remove_old_runs
from tg_pipeline.settings import Settings

JOB = "remove_old_history"


def retention_job(settings: Settings) -> dg.JobDefinition:
    """Remove what is older than RETENTION_DAYS, and say how much that was."""

    @dg.op
    def remove(context: dg.OpExecutionContext) -> None:
        before = datetime.now(UTC) - timedelta(days=settings.retention_days)
        runs = remove_old_runs(context.instance, before)
        backfills = remove_old_backfills(context.instance, before)
        fetches = remove_leftovers(settings)
        context.log.info(
            "Removed %d runs and %d backfills that ended before %s, and %d interrupted fetches that cannot be resumed.",
            *(runs, backfills, before.date(), fetches),
        )
        context.add_output_metadata({"runs": runs, "backfills": backfills, "interrupted_fetches": fetches})

    @dg.job(name=JOB, description=f"Removes Dagster's history of more than {settings.retention_days} days.")
    def job() -> None:
        remove()

    return job


def retention_schedule() -> dg.ScheduleDefinition:
    """Once a day. Runs as soon as Dagster does."""
    return dg.ScheduleDefinition(
        name=JOB,
        job_name=JOB,
        cron_schedule="40 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes Dagster's old history, at 03:40 UTC.",
    )
