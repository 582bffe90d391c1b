"""Dagster's history, kept for RETENTION_DAYS: as it ships, Dagster keeps every run for ever.

What the archive's days show in the UI stays: of each partition the newest materialization and check. With
`DagsterInstance.delete_run` they would go too, and days that are archived would look as if they were missing. Waits for
a retention of runs in Dagster's settings.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as db
from dagster._core.events import DagsterEventType
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import (
    BackfillTagsTable,
    BulkActionsTable,
    KeyValueStoreTable,
    RunsTable,
    RunTagsTable,
)
from sqlalchemy.engine import Connection

RUNS_PER_TRANSACTION = 20
ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
REMOVED_RUNS = "tg_pipeline/removed_runs"
REMOVED_SUCCESSFUL_RUNS = "tg_pipeline/removed_successful_runs"
"""Keys of Dagster's key-value table: how many were removed so far, so that counts of runs never fall."""
_COUNTED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)

_SHOWN = (DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value)


def remove_old_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Remove the runs that ended before then, with their events and compute logs; how many.

    Killed half way, the next call removes the rest. Leans on Dagster's SQL storages, SQLite and Postgres; a test holds
    them to it.
    """
    runs, events = _sql_storages(instance)
    old = dg.RunsFilter(statuses=list(ENDED), updated_before=before)
    removed = 0
    while ids := instance.get_run_ids(old, limit=RUNS_PER_TRANSACTION):
        for run_id in ids:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
        with events.index_connection() as connection:
            _remove_events(connection, ids, before)
        if isinstance(events, SqliteEventLogStorage):
            for run_id in ids:
                shard = Path(events.path_for_shard(run_id))
                for path in shard.parent.glob(f"{shard.name}*"):
                    path.unlink(missing_ok=True)
        with runs.connect() as connection:
            _remove_runs(connection, ids)
        removed += len(ids)
    _remove_old_reports(events, before)
    return removed


def remove_old_backfills(instance: dg.DagsterInstance, before: datetime) -> int:
    """Remove the backfills that began before then and are over; how many."""
    runs, _ = _sql_storages(instance)
    table = BulkActionsTable.c
    with runs.connect() as connection:
        is_old = db.and_(
            table.timestamp < before.replace(tzinfo=None),
            table.status.in_([status.value for status in BULK_ACTION_TERMINAL_STATUSES]),
        )
        ids = db.select(table.key).where(is_old)
        connection.execute(BackfillTagsTable.delete().where(BackfillTagsTable.c.backfill_id.in_(ids)))
        return int(connection.execute(BulkActionsTable.delete().where(is_old)).rowcount)


def counted_runs(instance: dg.DagsterInstance) -> tuple[int, int]:
    """How many runs ever succeeded or failed in this instance, and how many succeeded, those removed included."""
    while True:
        before = _removed(instance)
        counted = instance.get_runs_count(dg.RunsFilter(statuses=list(_COUNTED)))
        successful = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        if before == _removed(instance):
            return counted + before[0], successful + before[1]


def _removed(instance: dg.DagsterInstance) -> tuple[int, int]:
    keys = (REMOVED_RUNS, REMOVED_SUCCESSFUL_RUNS)
    values = instance.daemon_cursor_storage.get_cursor_values(set(keys))
    return int(values.get(keys[0], 0)), int(values.get(keys[1], 0))


def _sql_storages(instance: dg.DagsterInstance) -> tuple[SqlRunStorage, SqlEventLogStorage]:
    """All storages that Dagster ships for a persistent instance are such."""
    runs, events = instance.run_storage, instance.event_log_storage
    assert isinstance(runs, SqlRunStorage)  # noqa: S101 - for the type checker
    assert isinstance(events, SqlEventLogStorage)  # noqa: S101 - for the type checker
    return runs, events


def _remove_old_reports(storage: SqlEventLogStorage, before: datetime) -> None:
    """Remove what was reported without a run, as `tg-pipeline fetch` reports its days, likewise."""
    with storage.index_connection() as connection:
        _remove_events(connection, [RUNLESS_RUN_ID], before)
    if isinstance(storage, SqliteEventLogStorage):  # which has each event of its index in a file of the run as well
        with storage.run_connection(RUNLESS_RUN_ID) as connection:
            events = SqlEventLogStorageTable
            connection.execute(events.delete().where(events.c.timestamp < before.replace(tzinfo=None)))


def _remove_events(connection: Connection, run_ids: Sequence[str], before: datetime) -> None:
    events = SqlEventLogStorageTable
    newer = events.alias()
    is_superseded = db.exists().where(
        newer.c.asset_key == events.c.asset_key,
        newer.c.dagster_event_type == events.c.dagster_event_type,
        newer.c.partition.is_not_distinct_from(events.c.partition),
        newer.c.id > events.c.id,
    )
    is_shown = db.and_(events.c.dagster_event_type.in_(_SHOWN), ~is_superseded)
    is_old = db.and_(events.c.run_id.in_(run_ids), events.c.timestamp < before.replace(tzinfo=None))
    stale = db.select(events.c.id).where(is_old, db.func.coalesce(is_shown, db.false()).is_(False))
    connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(stale)))
    connection.execute(events.delete().where(events.c.id.in_(stale)))

    checks = AssetCheckExecutionsTable
    later = checks.alias()
    is_replaced = db.exists().where(
        later.c.asset_key == checks.c.asset_key,
        later.c.check_name == checks.c.check_name,
        later.c.partition.is_not_distinct_from(checks.c.partition),
        later.c.id > checks.c.id,
    )
    replaced = db.select(checks.c.id).where(checks.c.run_id.in_(run_ids), is_replaced)
    connection.execute(checks.delete().where(checks.c.id.in_(replaced)))


def _remove_runs(connection: Connection, run_ids: Sequence[str]) -> None:
    """Remove them and count them, in one transaction."""
    runs, values = RunsTable, KeyValueStoreTable
    is_removed = runs.c.run_id.in_(run_ids)
    counted = db.and_(is_removed, runs.c.status.in_([status.value for status in _COUNTED]))
    successful = db.and_(is_removed, runs.c.status == dg.DagsterRunStatus.SUCCESS.value)
    for key, condition in ((REMOVED_RUNS, counted), (REMOVED_SUCCESSFUL_RUNS, successful)):
        so_far = connection.scalar(db.select(values.c.value).where(values.c.key == key))
        more = connection.execute(db.select(runs.c.run_id).where(condition)).all()
        connection.execute(values.delete().where(values.c.key == key))
        connection.execute(values.insert().values(key=key, value=str(int(so_far or 0) + len(more))))
    connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id.in_(run_ids)))
    connection.execute(runs.delete().where(is_removed))
