"""The event log with open connections: what Dagster's own promises must still hold."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from tg_pipeline.dagster_internals import event_log
from tg_pipeline.dagster_internals.event_log import keep_event_logs_open, one_transaction
from tg_pipeline_tests.defs.databases import lay_databases

KEY = dg.AssetKey("a")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    keep_event_logs_open()
    lay_databases(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def storage(instance: dg.DagsterInstance) -> SqliteEventLogStorage:
    found = instance.event_log_storage
    assert isinstance(found, SqliteEventLogStorage)
    return found


def report(instance: dg.DagsterInstance, partition: int) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=str(partition)))


def test_events_do_not_open_a_connection_each(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    report(instance, 0)
    opened = []
    connect = sqlite3.dbapi2.connect

    def counted(*args: object, **options: object) -> sqlite3.Connection:
        opened.append(args)
        return connect(*args, **options)  # type: ignore[call-overload,no-any-return] # passed on as they came

    monkeypatch.setattr(sqlite3.dbapi2, "connect", counted)
    for partition in range(1, 6):
        report(instance, partition)
    assert len(opened) <= 5, "one an event is Dagster's own look whether a table is there"
    assert len(instance.get_materialized_partitions(KEY)) == 6


def test_another_process_sees_an_event_at_once(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    report(instance, 0)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as other:
        assert other.get_materialized_partitions(KEY) == {"0"}
        report(instance, 1)
        report(other, 2)
        assert other.get_materialized_partitions(KEY) == instance.get_materialized_partitions(KEY) == {"0", "1", "2"}


def test_a_transaction_is_stored_as_a_whole(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    report(instance, 0)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as reader, one_transaction(storage(instance)):
        report(instance, 1)
        report(instance, 2)
        assert reader.get_materialized_partitions(KEY) == {"0"}
        assert instance.get_materialized_partitions(KEY) == {"0", "1", "2"}
    assert instance.get_materialized_partitions(KEY) == {"0", "1", "2"}
    report(instance, 3)
    assert instance.get_materialized_partitions(KEY) == {"0", "1", "2", "3"}


def test_a_transaction_that_fails_leaves_nothing(instance: dg.DagsterInstance) -> None:
    report(instance, 0)

    def interrupted() -> None:
        with one_transaction(storage(instance)):
            report(instance, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert instance.get_materialized_partitions(KEY) == {"0"}


def test_a_log_that_is_not_sqlite_stores_each_event_by_itself() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        with one_transaction(instance.event_log_storage):
            report(instance, 1)
        assert instance.get_materialized_partitions(KEY) == {"1"}


def test_threads_take_turns(instance: dg.DagsterInstance) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: report(instance, n), range(20)))
    assert len(instance.get_materialized_partitions(KEY)) == 20


def test_few_databases_are_open_however_many_runs_there_were(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "MAX_OPEN", 2)
    for run in range(4):
        storage(instance).get_logs_for_run(f"run-{run}")
    assert list(event_log._open[storage(instance)]) == ["run-2", "run-3"]


def test_a_wiped_history_starts_afresh(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def a() -> None: ...

    first = dg.materialize([a], instance=instance)
    storage(instance).wipe()
    assert not storage(instance).get_logs_for_run(first.run_id)
    second = dg.materialize([a], instance=instance)
    assert storage(instance).get_logs_for_run(second.run_id)


def test_nothing_stays_open_after_the_instance(tmp_path: Path) -> None:
    keep_event_logs_open()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        report(instance, 0)
        kept = storage(instance)
        assert event_log._open[kept]
    assert kept not in event_log._open
