"""Runs that died without a word are failed, so that they give back their slot of the pool.

Dagster's default launcher does not know: it learns of a dead run from the code server, and that may have died with it.
So each run holds a lease while its process lives, and a sensor looks for runs under way whose lease nobody holds. A run
that is starting holds none yet: of those it looks for the process.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import dagster as dg

from tg_pipeline.app.skipping import skipping
from tg_pipeline.dagster_client.names import BACKFILL_TAG, CHAT_TAG
from tg_pipeline.dagster_client.workers import worker_of, workers
from tg_pipeline.dagster_internals.executors import (
    ExecutionPlan,
    PlanOrchestrationContext,
    RetryMode,
    StepDependencyConfig,
)
from tg_pipeline.machine.lease import discard, hold_until_exit, look, signer

LOOK_EVERY_SECONDS = 20
"""Health turns down after 60 s without a look (`monitoring.health`): one that fails is no outage."""
GRACE_SECONDS = 600.0
"""How long ago a launched run must have started to count as dead if it never held a lease, and may have a process."""

STARTING_SECONDS = 20.0
"""How long ago a run must have been launched to count as dead if there is no process that could be its own.

Dagster notes the launch before it asks the code server, which starts the process at once.
"""

LAUNCH_SECONDS = 120.0
"""How long ago a run of a backfill was created that was not submitted since: the daemon died in between.

It takes a fraction of a second. Dagster counts the run as submitted and does not come back to it
(job_backfill.py, `_get_partitions_chunk`, 1.13.27); the runs of sensors and of asset backfills it resumes.
"""

CODE_LOCATION_TAG = "dagster/code_location"
"""Dagster's tag on runs that were launched; a run that a program executes in its own process has none."""

_NEVER_SUBMITTED = "Dagster's daemon died before it had submitted the run."
UNDER_WAY = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
"""Runs that have, or should have, a process."""


def watched_executor(directory: Path) -> dg.ExecutorDefinition:
    """Dagster's in-process executor, whose runs each hold a lease in `directory` for the life of their process.

    Of the process rather than of a step: a run that waits for the retry of a step is alive.
    """
    plain = dg.in_process_executor

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        assert plain.executor_creation_fn is not None  # noqa: S101 - for the type checker
        return _Watched(plain.executor_creation_fn(context), directory)

    return dg.ExecutorDefinition(plain.name, config_schema=plain.config_schema.as_field(), executor_creation_fn=create)


class _Watched(dg.Executor):
    def __init__(self, executor: dg.Executor, directory: Path) -> None:
        self._executor = executor
        self._directory = directory

    @property
    def retries(self) -> RetryMode:
        return self._executor.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._executor.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        if _is_watched(plan_context.instance):
            hold_until_exit(self._directory, plan_context.run_id, what=f"Run {plan_context.run_id}")
        return self._executor.execute(plan_context, execution_plan)


def watchdog_sensor(directory: Path) -> dg.SensorDefinition:
    """Looks at the runs under way three times a minute. Runs as soon as Dagster does."""

    @dg.sensor(
        name="watchdog",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process died together with the code server, so that they free their slot.",
    )
    def watchdog(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        location = origin.location_name if origin else None
        ended = end_dead_runs(context.instance, directory, location=location, now=time.time())
        return dg.SkipReason(f"Dead runs ended: {', '.join(ended)}." if ended else "No run under way is dead.")

    return watchdog


def end_dead_runs(instance: dg.DagsterInstance, directory: Path, *, location: str | None, now: float) -> list[str]:
    """Fail the runs whose process is no more, or cancel them where somebody asked for that; the ids of those.

    A run that never held a lease is only ended if it is of the code location `location`: others hold none. It is dead
    if its process is no more; where nobody knows its process, if none is left that no other run has.

    So are runs of our jobs' backfills that were created and never submitted.

    Removes the lease files of runs that ended. Leaves everything to launchers that watch their runs themselves.
    """
    if not _is_watched(instance):
        return []
    ended: list[str] = []
    skipped: Counter[str] = Counter()
    spare = cache(lambda: _spare_workers(instance, directory))
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNDER_WAY))):
        run_id = record.dagster_run.run_id
        with skipping(f"Run {run_id}", skipped):
            if _is_dead(instance, record, directory, location, now, spare) and _end(instance, record):
                ended.append(run_id)
    for forgotten in _forgotten(instance, now):
        with skipping(f"Run {forgotten.run_id}", skipped):
            instance.report_run_failed(forgotten, _NEVER_SUBMITTED)
            ended.append(forgotten.run_id)
    for file in directory.glob("*.lock"):
        with skipping(f"The lease {file}", skipped):
            run = instance.get_run_by_id(file.stem)
            if run is None or run.is_finished:
                discard(directory, file.stem)
    return ended


def _forgotten(instance: dg.DagsterInstance, now: float) -> list[dg.DagsterRun]:
    before = datetime.fromtimestamp(now - LAUNCH_SECONDS, UTC)
    created = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=before))
    return [run for run in created if {BACKFILL_TAG, CHAT_TAG} <= run.tags.keys()]


def _is_watched(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.run_launcher, dg.DefaultRunLauncher)


def _spare_workers(instance: dg.DagsterInstance, directory: Path) -> set[int]:
    """The processes that may carry out a run and hold no run's lease."""
    holders = {
        signer(directory, file.stem) for file in directory.glob("*.lock") if look(directory, file.stem) == "held"
    }
    return {pid for pid in workers(instance.root_directory) if pid not in holders}


def _is_dead(
    instance: dg.DagsterInstance,
    record: dg.RunRecord,
    directory: Path,
    location: str | None,
    now: float,
    spare: Callable[[], set[int]],
) -> bool:
    run = record.dagster_run
    match look(directory, run.run_id):
        case "held":
            return False
        case "left":
            return True
        case "never held":
            if location is None or run.tags.get(CODE_LOCATION_TAG) != location:
                return False
            launched = instance.get_run_stats(run.run_id).launch_time or record.start_time or now
            if now - launched <= STARTING_SECONDS:
                return False
            own = worker_of(instance, run.run_id)
            exists = own in spare() if own is not None else bool(spare())
            return not exists or now - (record.start_time or now) > GRACE_SECONDS


def _end(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    # Once more: a run that ended properly says so before it releases its lease.
    run = instance.get_run_by_id(record.dagster_run.run_id)
    if run is None or run.status not in UNDER_WAY:
        return False
    why = "The run's process is no more, and it could not say why: it was killed, or the machine went down."
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, why)
    else:
        instance.report_run_failed(run, f"{why} What it had fetched is kept.")
    if instance.event_log_storage.supports_global_concurrency_limits:  # where pools count steps, not runs
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return True
