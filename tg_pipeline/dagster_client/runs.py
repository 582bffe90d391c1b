"""What a run says of itself: the command that caused it, its chats, and how it ended."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.launcher import Outcome
from tg_pipeline.dagster_client.names import CHAT_TAG, messages_key, messages_step, slug_of
from tg_pipeline.dagster_internals.history import ENDED
from tg_pipeline.dagster_internals.tags import MAX_RETRIES_TAG, ROOT_RUN_ID_TAG

COMMAND_TAG = "tg/command_id"
ACCEPTED_TAG = "tg/accepted"
"""Milliseconds: distinguishes a command from an earlier one of the same id, whose time to be remembered was over."""
CONTENT_TAG = "tg/command"
ATTEMPT_TAG = "tg/attempt"
"""Counts the times that a run of a command was launched again because it had died: 0 for the first one."""
RETRY_OF_TAG = "tg/retry_of"
"""The first attempt's id, on a run that was launched again."""

RUNS_PER_LOOK = 50
SETTLED_SECONDS = 5.0
"""Runs that ended later are left for the next look: a process takes the time before it waits for the database, so that
one with an earlier time may come after one that was seen, and the cursor would have passed it."""


def tags_of(command: AcceptedCommand) -> dict[str, str]:
    """What its runs are found by, and all that they need to know of it."""
    return {
        CHAT_TAG: command.slug,
        COMMAND_TAG: command.id,
        ACCEPTED_TAG: str(command.accepted),
        CONTENT_TAG: command.model_dump_json(),
        ATTEMPT_TAG: "0",
        "dagster/priority": str(command.priority),
        # Dagster's own retries leave these runs alone: see `DagsterLauncher.dead_runs`.
        MAX_RETRIES_TAG: "0",
    }


def command_of(tags: Mapping[str, str]) -> AcceptedCommand | None:
    """The command that caused a run with these tags."""
    return AcceptedCommand.model_validate_json(tags[CONTENT_TAG]) if CONTENT_TAG in tags else None


def slugs_of(run: dg.DagsterRun) -> list[str]:
    """The chats that a run fetches."""
    selected = sorted(slug for key in run.asset_selection or () if (slug := slug_of(key)))
    return selected or ([run.tags[CHAT_TAG]] if CHAT_TAG in run.tags else [])


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


def attempts_of(instance: dg.DagsterInstance, record: dg.RunRecord) -> Sequence[dg.RunRecord]:
    """The run, and the runs that it retries."""
    root = record.dagster_run.root_run_id
    if root is None:
        return [record]
    retries = instance.get_run_records(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: root}))
    earlier = [other for other in retries if other.create_timestamp < record.create_timestamp]
    return [*instance.get_run_records(dg.RunsFilter(run_ids=[root])), *earlier, record]


def outcome_of_runs(instance: dg.DagsterInstance, slug: str, records: Sequence[dg.RunRecord]) -> Outcome:
    """What became of a chat in runs that are over; of those that were retried, the last attempt counts.

    In a run over several chats each succeeds or fails by itself: what counts are the chat's own steps.
    """
    attempts = sorted(records, key=lambda record: record.create_timestamp)
    last = {first_attempt(record.dagster_run): record for record in attempts}
    done = {first_attempt(r.dagster_run) for r in attempts if _is_done_apart(instance, slug, r.dagster_run)}
    open_ = [record for attempt_of, record in last.items() if attempt_of not in done]
    failed = [record for record in open_ if record.dagster_run.status == dg.DagsterRunStatus.FAILURE]
    canceled = [record for record in open_ if record.dagster_run.status == dg.DagsterRunStatus.CANCELED]
    error_type, message = _why(instance, slug, failed[0]) if failed else (None, None)
    if canceled and not failed:
        error_type, message = "Canceled", "The run was canceled."
    messages = _messages(instance, slug, records)
    return Outcome(
        status="failed" if failed else "canceled" if canceled else "success",
        processed=sum(messages.values()),
        errors=sum(
            record.dagster_run.status == dg.DagsterRunStatus.FAILURE
            for record in records
            if first_attempt(record.dagster_run) not in done
        ),
        began=min((record.start_time for record in records if record.start_time), default=None),
        ended=max((record.end_time for record in records if record.end_time), default=None),
        run_id=next(iter(last.values())).dagster_run.run_id if len(last) == 1 else None,
        error_type=error_type,
        message=message,
        days=frozenset(messages),
    )


def attempt(run: dg.DagsterRun) -> int:
    """How many times it was launched again: 0 for the first one."""
    return int(run.tags.get(ATTEMPT_TAG, "0"))


def first_attempt(run: dg.DagsterRun) -> str:
    """The run's id, or that of the run that it was launched again for."""
    return run.tags.get(RETRY_OF_TAG) or run.root_run_id or run.run_id


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


def _is_done_apart(instance: dg.DagsterInstance, slug: str, run: dg.DagsterRun) -> bool:
    """Whether the chat's steps succeeded in a run over several chats, whatever became of the run."""
    if len(slugs_of(run)) <= 1:
        return False
    ended = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=ended) if entry.dagster_event]
    own = [event for event in events if _is_step_of(slug, event.step_key)]
    return any(e.step_key == messages_step(slug) and e.is_step_success for e in own) and not any(
        e.is_step_failure for e in own
    )


def _is_step_of(slug: str, step: str | None) -> bool:
    own = messages_step(slug)
    return step is not None and (step == own or step.startswith(f"{own}_"))


def _why(instance: dg.DagsterInstance, slug: str, record: dg.RunRecord) -> tuple[str, str]:
    """The class of the error that failed the chat in a run, and a sentence about it."""
    is_of_several = len(slugs_of(record.dagster_run)) > 1
    for entry in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = entry.dagster_event.step_failure_data if entry.dagster_event else None
        if data is None or (is_of_several and not _is_step_of(slug, entry.step_key)):
            continue
        if data.user_failure_data is not None:
            named = data.user_failure_data.metadata.get("error")
            return str(named.value) if named else "Failure", data.user_failure_data.description or ""
        if data.error is not None and data.error.cls_name != dg.DagsterExecutionInterruptedError.__name__:
            return data.error.cls_name or "Error", data.error.message.strip()[:500]
    for entry in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        said = (entry.dagster_event and entry.dagster_event.message) or _NOTHING_SAID[0]
        return "RunDied", _DIED if any(nothing in said for nothing in _NOTHING_SAID) else said
    return "RunDied", _DIED


_NOTHING_SAID = ("run has been marked as failed from outside", "Execution was interrupted unexpectedly")
"""Dagster's sentences about runs whose process died, or got a signal from somebody who terminated no run."""
_DIED = "The run's process was ended or died each time. What it had fetched is kept."
