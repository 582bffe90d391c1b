"""A command as a run or a backfill of Dagster's, and what became of it.

Dagster has no public way for a sensor to start a backfill (dagster#13852, #27759). What is not public is `submit` and
`cancel`; `RunRequest.for_asset_partition_range`, proposed in dagster#34096, would take their place.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from tg_pipeline.contracts.commands import AcceptedCommand
from tg_pipeline.contracts.events import Status
from tg_pipeline.dagster_client.names import (
    BACKFILL_TAG,
    CHAT_TAG,
    PARTITION_TAG,
    RANGE_TAGS,
    job_name,
    messages_key,
    per_day_job_name,
    slug_of,
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

COMMAND_TAG = "tg/command_id"
ACCEPTED_TAG = "tg/accepted"
"""Milliseconds: tells a command from an earlier one of the same id, whose time to be remembered was over."""
CONTENT_TAG = "tg/command"
ATTEMPT_TAG = "tg/attempt"
"""Counts the times that a run of a command was launched again because it had died: 0 for the first one."""
RETRY_OF_TAG = "tg/retry_of"
"""The first attempt's id, on a run that was launched again."""
REPOSITORY = "__repository__"

RUNS_PER_LOOK = 50
SETTLED_SECONDS = 5.0
"""Runs that ended later are left for the next look: a process takes the time before it waits for the database, so that
one with an earlier time may come after one that was seen, and the cursor would have passed it."""
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command, or a run, ended.

    `processed` are messages; `began` and `ended` in POSIX seconds, None where no run began or none says when it ended;
    `run_id` is the last attempt's, where it was one run. `days` are those that the runs committed, as YYYY-MM-DD.
    """

    status: Status
    processed: int
    errors: int
    began: float | None
    ended: float | None
    run_id: str | None = None
    error_type: str | None = None
    message: str | None = None
    days: frozenset[str] = frozenset()


def tags_of(command: AcceptedCommand) -> dict[str, str]:
    """What its runs are found by, and all that they need to know of it."""
    return {
        CHAT_TAG: command.slug,
        COMMAND_TAG: command.id,
        ACCEPTED_TAG: str(command.accepted),
        CONTENT_TAG: command.model_dump_json(),
        ATTEMPT_TAG: "0",
        "dagster/priority": str(command.priority),
        # Dagster's own retries leave these runs alone: see `dead_runs`.
        MAX_RETRIES_TAG: "0",
    }


def command_of(tags: Mapping[str, str]) -> AcceptedCommand | None:
    """The command that caused a run with these tags."""
    return AcceptedCommand.model_validate_json(tags[CONTENT_TAG]) if CONTENT_TAG in tags else None


def slugs_of(run: dg.DagsterRun) -> list[str]:
    """The chats that a run fetches."""
    selected = sorted(slug for key in run.asset_selection or () if (slug := slug_of(key)))
    return selected or ([run.tags[CHAT_TAG]] if CHAT_TAG in run.tags else [])


def is_one_run(command: AcceptedCommand) -> bool:
    """Whether it is launched as a run of its own rather than as a backfill."""
    return len(command.days) == 1


def expected_runs(command: AcceptedCommand, days_per_run: int) -> int:
    """How many runs it comes to."""
    return len(command.days) if command.strategy == "per_day" else math.ceil(len(command.days) / days_per_run)


def run_request(command: AcceptedCommand) -> dg.RunRequest:
    """The run of a command of one day. Asked for twice, it is launched once."""
    return dg.RunRequest(
        run_key=f"command:{command.id}:{command.accepted}",
        job_name=job_name(command.slug),
        partition_key=str(command.first),
        tags=tags_of(command),
    )


def submit(instance: dg.DagsterInstance, location: CodeLocationOrigin, command: AcceptedCommand) -> None:
    """Put a backfill on Dagster's Backfills page; its daemon begins within half a minute. Twice is as once."""
    job = per_day_job_name(command.slug) if command.strategy == "per_day" else job_name(command.slug)
    backfill = PartitionBackfill(
        backfill_id=_backfill_id(command),
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
    if instance.get_backfill(backfill.backfill_id) is None:
        instance.add_backfill(backfill)


def dead_runs(instance: dg.DagsterInstance, command: AcceptedCommand) -> list[dg.DagsterRun]:
    """Runs of a command that died and are to be launched again by `retry_request`; none once it is canceled.

    A run died if its process ended before its steps did: killed, terminated at a shutdown, never started. As often as
    `run_retries` of dagster.yaml allows. Dagster itself would not retry the last run of a job's backfill: it completes
    the backfill when nothing of it runs, and retries nothing of a completed one (1.13.27).
    """
    if not is_one_run(command):
        backfill = instance.get_backfill(_backfill_id(command))
        if backfill is None or backfill.status in _BACKFILL_ABORTED:
            return []
    most = instance.run_retries_max_retries if instance.run_retries_enabled else 0
    died = [
        run
        for run in instance.get_runs(_runs(command, [dg.DagsterRunStatus.FAILURE]))
        if run.tags.get(RUN_FAILURE_REASON_TAG) != RunFailureReason.STEP_FAILURE.value and _attempt(run) < most
    ]
    if not died:
        return []
    attempts = [str(number) for number in range(1, most + 1)]
    retries = instance.get_runs(dg.RunsFilter(tags={**_tags(command), ATTEMPT_TAG: attempts}))
    launched = {(_first_attempt(retry), _attempt(retry)) for retry in retries}
    return [run for run in died if (_first_attempt(run), _attempt(run) + 1) not in launched]


def retry_request(run: dg.DagsterRun) -> dg.RunRequest:
    """The run once more. Asked for twice, it is launched once."""
    kept = {tag: value for tag, value in run.tags.items() if not tag.startswith("dagster/") or tag in _KEPT_TAGS}
    again = _retry_tags(run)
    return dg.RunRequest(
        run_key=f"retry:{again[RETRY_OF_TAG]}:{again[ATTEMPT_TAG]}", job_name=run.job_name, tags=kept | again
    )


def cancel(instance: dg.DagsterInstance, command: AcceptedCommand) -> None:
    """End what runs of a backfill, and launch nothing more of it. A run of its own is ended while it is queued."""
    if is_one_run(command):
        for run in instance.get_runs(_runs(command, [dg.DagsterRunStatus.QUEUED])):
            instance.report_run_canceling(run)
            instance.report_run_canceled(run)
        return
    backfill = instance.get_backfill(_backfill_id(command))
    if backfill is not None and backfill.status == BulkActionStatus.REQUESTED:
        instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELING))  # type: ignore[no-untyped-call]


def is_launched(instance: dg.DagsterInstance, command: AcceptedCommand) -> bool:
    """Whether Dagster has it."""
    if is_one_run(command):
        return instance.get_runs_count(_runs(command)) > 0
    return instance.get_backfill(_backfill_id(command)) is not None


def is_over(instance: dg.DagsterInstance, command: AcceptedCommand, days_per_run: int) -> bool:
    """Whether nothing of it runs, and nothing will but `dead_runs`. A launched one."""
    if not is_one_run(command) and not _is_all_launched(instance, command, days_per_run):
        return False
    return instance.get_runs_count(_runs(command)) == instance.get_runs_count(_runs(command, ENDED))


def _is_all_launched(instance: dg.DagsterInstance, command: AcceptedCommand, days_per_run: int) -> bool:
    """Whether each of a backfill's runs was launched once, or none will be any more."""
    backfill = instance.get_backfill(_backfill_id(command))
    if backfill is None or backfill.status in _BACKFILL_ENDED:
        return True
    # The daemon looks at its backfills twice a minute only; the runs tell earlier.
    first_attempts = dg.RunsFilter(tags={**_tags(command), ATTEMPT_TAG: "0"})
    launched = instance.get_runs_count(first_attempts)
    return backfill.status == BulkActionStatus.REQUESTED and launched >= expected_runs(command, days_per_run)


def since_cursor(cursor: str | None) -> tuple[datetime, datetime]:
    """Since when and until when a sensor of ended runs looks; without a cursor, from now on."""
    now = datetime.now(UTC)
    return datetime.fromisoformat(cursor) if cursor else now, now - timedelta(seconds=SETTLED_SECONDS)


def ended_between(
    instance: dg.DagsterInstance, since: datetime, before: datetime
) -> tuple[Sequence[dg.RunRecord], datetime]:
    """Runs that ended then, the oldest first, and until when these are all; ask for the rest from there on."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=ENDED, updated_after=since, updated_before=before),
        limit=RUNS_PER_LOOK,
        order_by="update_timestamp",
        ascending=True,
    )
    return records, records[-1].update_timestamp.replace(tzinfo=UTC) if records else since


def outcome(instance: dg.DagsterInstance, command: AcceptedCommand) -> Outcome:
    """What became of a command that is over."""
    found = outcome_of_runs(instance, command.slug, instance.get_run_records(_runs(command)))
    backfill = None if is_one_run(command) else instance.get_backfill(_backfill_id(command))
    if backfill is None:
        return found
    if backfill.status == BulkActionStatus.CANCELED:
        return replace(found, status="canceled", error_type="Canceled", message="The backfill was canceled.")
    if backfill.status == BulkActionStatus.FAILED and found.status == "success":
        reason = backfill.error.message.strip() if backfill.error else "The backfill failed."
        return replace(found, status="failed", error_type="BackfillFailed", message=reason)
    return found


def outcome_of_runs(instance: dg.DagsterInstance, slug: str, records: Sequence[dg.RunRecord]) -> Outcome:
    """What became of runs that are over; of those that were retried, the last attempt counts."""
    attempts = sorted(records, key=lambda record: record.create_timestamp)
    last = {_first_attempt(record.dagster_run): record for record in attempts}
    failed = [record for record in last.values() if record.dagster_run.status == dg.DagsterRunStatus.FAILURE]
    canceled = [record for record in last.values() if record.dagster_run.status == dg.DagsterRunStatus.CANCELED]
    error_type, message = _why(instance, failed[0]) if failed else (None, None)
    if canceled and not failed:
        error_type, message = "Canceled", "The run was canceled."
    messages = _messages(instance, slug, records)
    return Outcome(
        status="failed" if failed else "canceled" if canceled else "success",
        processed=sum(messages.values()),
        errors=sum(record.dagster_run.status == dg.DagsterRunStatus.FAILURE for record in records),
        began=min((record.start_time for record in records if record.start_time), default=None),
        ended=max((record.end_time for record in records if record.end_time), default=None),
        run_id=next(iter(last.values())).dagster_run.run_id if len(last) == 1 else None,
        error_type=error_type,
        message=message,
        days=frozenset(messages),
    )


def _backfill_id(command: AcceptedCommand) -> str:
    assert command.backfill_id is not None  # noqa: S101 - only commands of several days are asked about
    return command.backfill_id


def _runs(command: AcceptedCommand, statuses: Sequence[dg.DagsterRunStatus] | None = None) -> dg.RunsFilter:
    return dg.RunsFilter(tags=_tags(command), statuses=statuses)


def _tags(command: AcceptedCommand) -> dict[str, str]:
    return {COMMAND_TAG: command.id, ACCEPTED_TAG: str(command.accepted)}


def _attempt(run: dg.DagsterRun) -> int:
    return int(run.tags.get(ATTEMPT_TAG, "0"))


def _first_attempt(run: dg.DagsterRun) -> str:
    return run.tags.get(RETRY_OF_TAG) or run.root_run_id or run.run_id


def _retry_tags(run: dg.DagsterRun) -> dict[str, str]:
    return {RETRY_OF_TAG: _first_attempt(run), ATTEMPT_TAG: str(_attempt(run) + 1)}


def _messages(instance: dg.DagsterInstance, slug: str, records: Sequence[dg.RunRecord]) -> dict[str, int]:
    """How many messages each of the days that the runs committed has, as it was committed last."""
    if not records:
        return {}
    runs = {record.dagster_run.run_id for record in records}
    began = min(record.create_timestamp.timestamp() for record in records)
    counts: dict[str, int] = {}
    cursor = None
    while True:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(messages_key(slug), after_timestamp=began), limit=1_000, cursor=cursor, ascending=True
        )
        for record in page.records:
            materialization = record.asset_materialization
            if record.run_id in runs and materialization and materialization.partition:
                rows = materialization.metadata.get("dagster/row_count")
                if rows is not None:
                    counts[materialization.partition] = int(str(rows.value))
        if not page.has_more:
            return counts
        cursor = page.cursor


def _why(instance: dg.DagsterInstance, record: dg.RunRecord) -> tuple[str, str]:
    """The class of the error that failed a run, and a sentence about it."""
    for entry in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = entry.dagster_event.step_failure_data if entry.dagster_event else None
        if data is None:
            continue
        if data.user_failure_data is not None:
            named = data.user_failure_data.metadata.get("error")
            return str(named.value) if named else "Failure", data.user_failure_data.description or ""
        if data.error is not None and data.error.cls_name != dg.DagsterExecutionInterruptedError.__name__:
            return data.error.cls_name or "Error", data.error.message.strip()[:500]
    for entry in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        told = (entry.dagster_event and entry.dagster_event.message) or _NOTHING_SAID[0]
        return "RunDied", _DIED if any(nothing in told for nothing in _NOTHING_SAID) else told
    return "RunDied", _DIED


_NOTHING_SAID = ("run has been marked as failed from outside", "Execution was interrupted unexpectedly")
"""Dagster's sentences about runs whose process died, or was told to end by somebody who terminated no run."""
_DIED = "The run's process was ended or died each time. What it had fetched is kept."
