"""Old runs go, and what the archive's days show in Dagster stays."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.dagster_client.run_metrics import of_runs
from tg_pipeline.dagster_internals.history import counted_runs, remove_old_backfills, remove_old_runs
from tg_pipeline.defs.retention import JOB
from tg_pipeline_tests.defs.pipeline import Pipeline
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)
WEEK = first_days(7)


def dated(pipeline: Pipeline, run_ids: Iterable[str], age: timedelta) -> None:
    """Date the events of the runs."""
    directory = pipeline.account.settings.home / "history" / "runs"
    for run_id in run_ids:
        for name in ("index", run_id):
            with sqlite3.connect(directory / f"{name}.db") as db:
                values = ((NOW - age).replace(tzinfo=None).isoformat(" "), run_id)
                db.execute("UPDATE event_logs SET timestamp = ? WHERE run_id = ?", values)
            db.close()


def ended(pipeline: Pipeline, run_ids: Iterable[str], age: timedelta) -> None:
    """Date the end of the runs, and their events."""
    dated(pipeline, run_ids, age)
    path = pipeline.account.settings.home / "history" / "runs.db"
    with sqlite3.connect(path) as db:
        for run_id in run_ids:
            values = ((NOW - age).replace(tzinfo=None).isoformat(" "), run_id)
            db.execute("UPDATE runs SET update_timestamp = ? WHERE run_id = ?", values)
    db.close()


def files_of(pipeline: Pipeline, run_id: str) -> list[Path]:
    return list(pipeline.account.settings.home.rglob(f"{run_id}*"))


def query(pipeline: Pipeline, sql: str, shard: str = "index") -> list[tuple[object, ...]]:
    """What Dagster's index of events holds, or a run's own file of them."""
    with sqlite3.connect(pipeline.account.settings.home / "history" / "runs" / f"{shard}.db") as db:
        found = db.execute(sql).fetchall()
    db.close()
    return found


@pytest.mark.slow
def test_old_runs_are_removed_and_their_days_stay_as_they_are(busy: Pipeline) -> None:
    canceled = busy.instance.create_run_for_job(
        busy.defs.resolve_job_def("fetch_busy"),
        status=dg.DagsterRunStatus.CANCELED,
        tags={"dagster/partition": str(FIRST_DAY)},
    )
    old = [busy.run("busy", WEEK).run_id, busy.run("busy", FIRST_DAY).run_id, canceled.run_id]
    newer = busy.run("busy", DayRange(FIRST_DAY, FIRST_DAY + timedelta(days=1))).run_id
    ended(busy, old, MONTH + timedelta(hours=1))
    ended(busy, [newer], MONTH - timedelta(hours=1))
    green = busy.green("busy")
    metadata = {day: busy.latest("busy", day).metadata for day in WEEK}
    counted = [(metric.name, value) for metric, _, value in of_runs(busy.instance)]
    assert files_of(busy, old[0])

    assert remove_old_runs(busy.instance, NOW - MONTH) == 3

    assert [run.run_id for run in busy.instance.get_runs()] == [newer]
    assert [files_of(busy, run_id) for run_id in old] == [[], [], []]
    assert files_of(busy, newer)
    assert busy.green("busy") == green
    assert {day: busy.latest("busy", day).metadata for day in WEEK} == metadata
    checks = query(busy, "SELECT partition, execution_status FROM asset_check_executions")
    assert set(checks) == {(str(day), "SUCCEEDED") for day in WEEK}
    assert [(metric.name, value) for metric, _, value in of_runs(busy.instance)] == counted
    assert remove_old_runs(busy.instance, NOW - MONTH) == 0


def test_of_a_day_that_is_fetched_daily_one_record_is_kept(busy: Pipeline) -> None:
    runs = [busy.run("busy", FIRST_DAY).run_id for _ in range(3)]
    ended(busy, runs, 2 * MONTH)
    remove_old_runs(busy.instance, NOW - MONTH)
    assert query(busy, "SELECT dagster_event_type FROM event_logs") == [("ASSET_MATERIALIZATION",)]
    assert query(busy, "SELECT count(*) FROM asset_check_executions") == [(1,)]
    assert busy.green("busy") == {str(FIRST_DAY)}


def test_of_a_day_that_is_reported_without_a_run_one_record_is_kept(busy: Pipeline) -> None:
    for _ in range(3):
        busy.instance.report_runless_asset_event(
            dg.AssetMaterialization(messages_key("busy"), partition=str(FIRST_DAY))
        )
    remove_old_runs(busy.instance, NOW - MONTH)
    assert query(busy, "SELECT count(*) FROM event_logs") == [(3,)]
    dated(busy, [""], 2 * MONTH)
    remove_old_runs(busy.instance, NOW - MONTH)
    assert query(busy, "SELECT partition FROM event_logs") == [(str(FIRST_DAY),)]
    assert query(busy, "SELECT partition FROM event_logs", shard="") == []


def test_a_run_that_is_under_way_is_not_removed(busy: Pipeline) -> None:
    run = busy.instance.create_run_for_job(
        busy.defs.resolve_job_def("fetch_busy"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": str(FIRST_DAY)},
    )
    ended(busy, [run.run_id], 2 * MONTH)
    assert remove_old_runs(busy.instance, NOW - MONTH) == 0
    assert counted_runs(busy.instance) == (0, 0)


def test_old_backfills_are_removed_once_they_are_over(busy: Pipeline) -> None:
    for name, status, age in (
        ("over", BulkActionStatus.COMPLETED_SUCCESS, 2 * MONTH),
        ("running", BulkActionStatus.REQUESTED, 2 * MONTH),
        ("recent", BulkActionStatus.COMPLETED_SUCCESS, timedelta(days=1)),
    ):
        began = (NOW - age).timestamp()
        busy.instance.add_backfill(
            PartitionBackfill(
                name,
                status,
                from_failure=False,
                tags={"a": "b"},
                backfill_timestamp=began,
                asset_selection=[messages_key("busy")],
                serialized_asset_backfill_data="{}",
            )
        )
    assert remove_old_backfills(busy.instance, NOW - MONTH) == 1
    assert {backfill.backfill_id for backfill in busy.instance.get_backfills()} == {"running", "recent"}


def test_the_job_says_what_it_removed(busy: Pipeline) -> None:
    ended(busy, [busy.run("busy", FIRST_DAY).run_id], 2 * MONTH)
    result = busy.defs.resolve_job_def(JOB).execute_in_process(instance=busy.instance)
    (output,) = [event.step_output_data for event in result.all_events if event.is_successful_output]
    assert {key: value.value for key, value in output.metadata.items()} == {
        "runs": 1,
        "backfills": 0,
        "interrupted_fetches": 0,
    }
    schedules = busy.defs.get_repository_def().schedule_defs
    assert {s.name: s.default_status.value for s in schedules}[JOB] == "RUNNING"
