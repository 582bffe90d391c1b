"""The launcher of commands that Dagster is: a run for one day, a backfill for more.

Dagster has no public way for a sensor to start a backfill (dagster#13852, #27759). What is not public is in `launch`
and `cancel`; `RunRequest.for_asset_partition_range`, proposed in dagster#34096, would take their place.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import dagster as dg

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.launcher import Outcome
from tg_pipeline.dagster_client.names import BACKFILL_TAG, PARTITION_TAG, RANGE_TAGS, job_name, per_day_job_name
from tg_pipeline.dagster_client.runs import (
    ACCEPTED_TAG,
    ATTEMPT_TAG,
    COMMAND_TAG,
    RETRY_OF_TAG,
    attempt,
    first_attempt,
    outcome_of_runs,
    tags_of,
)
from tg_pipeline.dagster_internals.backfills import (
    BulkActionStatus,
    CodeLocationOrigin,
    PartitionBackfill,
    RemotePartitionSetOrigin,
    RemoteRepositoryOrigin,
    partition_set_snap_name_for_job_name,
)
from tg_pipeline.dagster_internals.history import ENDED
from tg_pipeline.dagster_internals.tags import MAX_RETRIES_TAG, RUN_FAILURE_REASON_TAG, RunFailureReason

REPOSITORY = "__repository__"
ATTEMPTS_MOST = 20
"""Of one run, those that never started included: restarts and outages are not its fault."""

_KEPT_TAGS = {
    PARTITION_TAG,
    *RANGE_TAGS,
    BACKFILL_TAG,
    MAX_RETRIES_TAG,
    "dagster/partition_set",
    "dagster/priority",
}
"""What Dagster's tags say of a run that holds for its retry as well."""
_BACKFILL_ABORTED = {
    BulkActionStatus.CANCELING,
    BulkActionStatus.CANCELED,
    BulkActionStatus.FAILING,
    BulkActionStatus.FAILED,
}
_BACKFILL_ENDED = {
    BulkActionStatus.COMPLETED,
    BulkActionStatus.COMPLETED_SUCCESS,
    BulkActionStatus.COMPLETED_FAILED,
    BulkActionStatus.FAILED,
    BulkActionStatus.CANCELED,
}


@dataclass
class DagsterLauncher:
    """A `Launcher` for one tick of a sensor, which returns `requests` to Dagster.

    `partitions` are those of each chat that the definitions hold; `wants_reload` says that the chat or the days of a
    command were not among them. Without a `location`, as outside of a code server, no backfill is launched.
    """

    instance: dg.DagsterInstance
    days_per_run: int
    location: CodeLocationOrigin | None = None
    partitions: Mapping[str, dg.PartitionsDefinition[str]] = field(default_factory=dict)
    requests: list[dg.RunRequest] = field(default_factory=list)
    wants_reload: bool = False

    def is_loaded(self, slug: str, first: date, last: date) -> bool:
        """Whether the definitions hold the chat, and both days as partitions."""
        partitions = self.partitions.get(slug)
        found = partitions is not None and all(partitions.has_partition_key(str(day)) for day in (first, last))
        self.wants_reload |= not found
        return found

    def launch(self, command: AcceptedCommand) -> None:
        """Request a run, which Dagster launches once however often it is requested, or submit a backfill.

        Dagster's daemon begins with the backfill within half a minute.
        """
        if command.backfill_id is None:
            run = dg.RunRequest(
                run_key=f"command:{command.id}:{command.accepted}",
                job_name=job_name(command.slug),
                partition_key=str(command.first),
                tags=tags_of(command),
            )
            self.requests.append(run)
        elif self.location is not None and self._backfill(command) is None:
            self.instance.add_backfill(_backfill_of(command, command.backfill_id, self.location))

    def is_launched(self, command: AcceptedCommand) -> bool:
        """Whether Dagster has it."""
        if command.backfill_id is None:
            return self.instance.get_runs_count(_runs(command)) > 0
        return self._backfill(command) is not None

    def is_over(self, command: AcceptedCommand) -> bool:
        """Whether nothing of it runs, and nothing will but `dead_runs`. A launched one."""
        if not self._is_all_launched(command):
            return False
        return self.instance.get_runs_count(_runs(command)) == self.instance.get_runs_count(_runs(command, ENDED))

    def dead_runs(self, command: AcceptedCommand) -> Sequence[str]:
        """Ids of its runs that died and are to be launched again; none once it is canceled.

        A run died if its process ended before its steps did: killed, terminated at a shutdown, never started. As often
        as `run_retries` of dagster.yaml allows; attempts that never started do not count, up to ATTEMPTS_MOST in all.
        Dagster itself would not retry the last run of a job's backfill: it completes the backfill when nothing of it
        runs, and retries nothing of a completed one (1.13.27).
        """
        backfill = self._backfill(command)
        if command.backfill_id is not None and (backfill is None or backfill.status in _BACKFILL_ABORTED):
            return []
        instance = self.instance
        most = instance.run_retries_max_retries if instance.run_retries_enabled else 0
        failed = instance.get_run_records(_runs(command, [dg.DagsterRunStatus.FAILURE]))
        died = [record for record in failed if not _failed_by_a_step(record.dagster_run)]
        if not died or not most:
            return []
        started = Counter(first_attempt(record.dagster_run) for record in died if record.start_time is not None)
        attempts = [str(number) for number in range(1, ATTEMPTS_MOST)]
        retries = instance.get_runs(dg.RunsFilter(tags={**_tags(command), ATTEMPT_TAG: attempts}))
        launched = {(first_attempt(retry), attempt(retry)) for retry in retries}
        return [
            run.run_id
            for run in (record.dagster_run for record in died)
            if started[first_attempt(run)] <= most
            and attempt(run) + 1 < ATTEMPTS_MOST
            and (first_attempt(run), attempt(run) + 1) not in launched
        ]

    def launch_again(self, run_id: str) -> None:
        """Request the run once more. Requested twice, it is launched once."""
        run = self.instance.get_run_by_id(run_id)
        if run is None:  # removed meanwhile
            return
        kept = {tag: value for tag, value in run.tags.items() if not tag.startswith("dagster/") or tag in _KEPT_TAGS}
        again = {RETRY_OF_TAG: first_attempt(run), ATTEMPT_TAG: str(attempt(run) + 1)}
        run_key = f"retry:{again[RETRY_OF_TAG]}:{again[ATTEMPT_TAG]}"
        self.requests.append(dg.RunRequest(run_key=run_key, job_name=run.job_name, tags=kept | again))

    def cancel(self, command: AcceptedCommand) -> None:
        """End what runs of a backfill, and launch nothing more of it. A run of its own is ended while it is queued."""
        if command.backfill_id is None:
            for run in self.instance.get_runs(_runs(command, [dg.DagsterRunStatus.QUEUED])):
                self.instance.report_run_canceling(run)
                self.instance.report_run_canceled(run)
            return
        backfill = self._backfill(command)
        if backfill is not None and backfill.status == BulkActionStatus.REQUESTED:
            canceling = backfill.with_status(BulkActionStatus.CANCELING)  # type: ignore[no-untyped-call]
            self.instance.update_backfill(canceling)

    def outcome(self, command: AcceptedCommand) -> Outcome:
        """What became of a command that is over."""
        found = outcome_of_runs(self.instance, command.slug, self.instance.get_run_records(_runs(command)))
        backfill = self._backfill(command)
        if backfill is None:
            return found
        if backfill.status == BulkActionStatus.CANCELED:
            return replace(found, status="canceled", error_type="Canceled", message="The backfill was canceled.")
        if backfill.status == BulkActionStatus.FAILED and found.status == "success":
            reason = backfill.error.message.strip() if backfill.error else "The backfill failed."
            return replace(found, status="failed", error_type="BackfillFailed", message=reason)
        return found

    def _backfill(self, command: AcceptedCommand) -> PartitionBackfill | None:
        return None if command.backfill_id is None else self.instance.get_backfill(command.backfill_id)

    def _is_all_launched(self, command: AcceptedCommand) -> bool:
        """Whether each of its runs was launched once, or none will be any more."""
        backfill = self._backfill(command)
        if backfill is None or backfill.status in _BACKFILL_ENDED:
            return True
        # The daemon looks at its backfills twice a minute only; the runs tell earlier.
        launched = self.instance.get_runs_count(dg.RunsFilter(tags={**_tags(command), ATTEMPT_TAG: "0"}))
        days_per_run = 1 if command.strategy == "per_day" else self.days_per_run
        expected = math.ceil(len(command.days) / days_per_run)
        return backfill.status == BulkActionStatus.REQUESTED and launched >= expected


def _backfill_of(command: AcceptedCommand, backfill_id: str, location: CodeLocationOrigin) -> PartitionBackfill:
    """As the Backfills page shows it."""
    job = per_day_job_name(command.slug) if command.strategy == "per_day" else job_name(command.slug)
    return PartitionBackfill(
        backfill_id=backfill_id,
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags=tags_of(command),
        backfill_timestamp=time.time(),
        title=f"{command.slug} {command.days}",
        partition_set_origin=RemotePartitionSetOrigin(
            repository_origin=RemoteRepositoryOrigin(location, REPOSITORY),
            partition_set_name=partition_set_snap_name_for_job_name(job),
        ),
        partition_names=[str(day) for day in command.days],
    )


def _failed_by_a_step(run: dg.DagsterRun) -> bool:
    return run.tags.get(RUN_FAILURE_REASON_TAG) == RunFailureReason.STEP_FAILURE.value


def _runs(command: AcceptedCommand, statuses: Sequence[dg.DagsterRunStatus] | None = None) -> dg.RunsFilter:
    return dg.RunsFilter(tags=_tags(command), statuses=statuses)


def _tags(command: AcceptedCommand) -> dict[str, str]:
    return {COMMAND_TAG: command.id, ACCEPTED_TAG: str(command.accepted)}
