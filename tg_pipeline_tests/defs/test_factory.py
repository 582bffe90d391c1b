"""The asset of a chat: real runs, in this process, against the simulator."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tg_pipeline.app.process import keep_metrics
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.history import PAGE_SIZE
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.definitions import build_definitions
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline.monitoring.metrics import exposition
from tg_pipeline.simulator import Error, Latency
from tg_pipeline_tests.defs.pipeline import Pipeline, environment_of, pipeline, range_tags, register
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days, plain_world

HISTORY = "messages.getHistory"
CALLS_A_KILL = 5
WEEK = first_days(7)


def texts(days: DayRange) -> set[str]:
    return {str(day) for day in days}


def materializations(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [event.materialization for event in result.all_events if event.is_step_materialization]


def kill_self_when_green(pipeline: Pipeline, days: int, number: signal.Signals) -> threading.Thread:
    """A thread that sends this process a signal once so many days are materialized."""

    def kill() -> None:
        assert wait_until(lambda: len(pipeline.green("busy")) >= days)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_day_becomes_a_file_and_a_materialization_with_what_people_want_to_know(busy: Pipeline) -> None:
    assert busy.run("busy", FIRST_DAY).success

    header = busy.store.header("busy", FIRST_DAY)
    assert header is not None
    metadata = {key: value.value for key, value in busy.latest("busy", FIRST_DAY).metadata.items()}
    assert metadata["dagster/row_count"] == header.message_count == metadata["added"] == 30
    assert metadata["first_message_id"] == header.first_message_id
    assert metadata["last_message_id"] == header.last_message_id
    assert metadata["content_sha256"] == header.content_sha256
    assert metadata["sealed"] is True
    assert metadata["size_bytes"] == Path(str(metadata["path"])).stat().st_size
    assert metadata["fetch/messages"] == 30
    assert metadata["fetch/calls"] == busy.account.calls().total() - 1, "all but the greeting"
    assert str(metadata["preview"]).count("\n") == 6


def test_a_range_is_one_run_and_one_pass(busy: Pipeline) -> None:
    assert busy.run("busy", WEEK).success

    assert busy.green("busy") == texts(WEEK)
    assert busy.account.calls()[HISTORY] <= -(-7 * 30 // 100) + 1
    assert all(not list(busy.store.verify_day("busy", day)) for day in WEEK)


def test_each_day_is_materialized_once_and_the_last_one_says_what_the_fetch_cost(busy: Pipeline) -> None:
    logged = materializations(busy.run("busy", WEEK))

    assert [m.partition for m in logged] == sorted(texts(WEEK))
    assert [m.partition for m in logged if "fetch/calls" in m.metadata] == [str(WEEK.last)]
    for material in logged:
        assert (material.tags or {})["dagster/data_version"] == material.metadata["content_sha256"].value


def test_what_is_downstream_runs_with_it_in_one_run(busy: Pipeline) -> None:
    @dg.asset(deps=[messages_key("busy")], partitions_def=daily_partitions(FIRST_DAY))
    def counts() -> None: ...

    both = dg.Definitions.merge(busy.defs, dg.Definitions(assets=[counts]))
    job = both.resolve_implicit_job_def_def_for_assets([messages_key("busy"), counts.key])
    assert job is not None
    keys = [messages_key("busy"), counts.key]
    result = job.execute_in_process(instance=busy.instance, asset_selection=keys, partition_key=str(FIRST_DAY))
    assert [m.asset_key for m in materializations(result)] == keys


def test_a_second_run_changes_no_file_and_says_so(busy: Pipeline) -> None:
    busy.run("busy", WEEK)
    before = busy.account.files()

    busy.run("busy", WEEK)

    assert {name: data for name, data in busy.account.files().items() if "progress" not in name} == {
        name: data for name, data in before.items() if "progress" not in name
    }
    assert busy.latest("busy", WEEK.first).metadata["added"].value == 0


def test_an_empty_day_is_green_and_has_no_ids(busy: Pipeline) -> None:
    empty = FIRST_DAY + timedelta(days=10)
    assert busy.run("busy", empty).success

    metadata = busy.latest("busy", empty).metadata
    assert metadata["dagster/row_count"].value == 0
    assert "first_message_id" not in metadata
    assert metadata["preview"].value == "No messages."


def test_today_is_a_partition_and_tomorrow_is_not(busy: Pipeline) -> None:
    asset = busy.defs.resolve_assets_def(messages_key("busy"))
    assert asset.partitions_def is not None
    keys = asset.partitions_def.get_partition_keys()
    assert keys[0] == str(FIRST_DAY)
    assert date.fromisoformat(keys[-1]) - date.fromisoformat(keys[-2]) == timedelta(days=1)
    assert keys[-1] == time.strftime("%Y-%m-%d", time.gmtime())


def test_a_chat_without_a_start_begins_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / "chats.yaml").write_text("chats:\n  - {slug: a, chat: '@a'}\n")
    with pipeline(plain_world(), tmp_path, start_date=date(2022, 5, 1)) as found:
        (tmp_path / "chats.yaml").write_text("chats:\n  - {slug: a, chat: '@a'}\n")
        asset = build_definitions(found.account.settings).resolve_assets_def(messages_key("a"))
    assert asset.partitions_def is not None
    assert asset.partitions_def.get_first_partition_key() == "2022-05-01"


def test_a_backfill_is_a_few_runs(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path, "busy", backfill_days_per_run=14) as found:
        asset = found.defs.resolve_assets_def(messages_key("busy"))
    assert asset.backfill_policy is not None
    assert asset.backfill_policy.max_partitions_per_run == 14


def test_an_asset_says_which_chat_it_is(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path) as found:
        (tmp_path / "chats.yaml").write_text(
            r"""chats: [{slug: a, chat: '@one', id: -1001, username: one, title: "*One* \e[2J", start: 2024-01-01}]"""
        )
        spec = found.defs.resolve_assets_def(messages_key("a")).get_asset_spec()
    assert spec.description == r"Every message of \*One\* \\u001b\[2J \(@one\), one JSON file a UTC day."
    facts = {key: spec.metadata[key].value for key in ("chat", "telegram_id", "link")}
    assert facts == {"chat": "@one", "telegram_id": -1001, "link": "https://t.me/one"}


def fetch_runs(found: Pipeline) -> dict[str, float]:
    """What Prometheus gets, by status."""
    text = exposition(found.account.settings)[0].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {s.labels["status"]: s.value for s in samples if s.name == "fetch_runs_total" and s.labels["chat"] == "busy"}


def test_a_run_is_counted_when_it_has_ended_for_good(busy: Pipeline) -> None:
    keep_metrics(busy.account.settings)
    before = Counter(fetch_runs(busy))
    busy.run("busy", FIRST_DAY)
    busy.run("busy", FIRST_DAY)
    busy.account.simulator.faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE"))
    busy.run("busy", WEEK, raise_on_error=False)
    assert Counter(fetch_runs(busy)) - before == {"success": 2, "failed": 1}


# --- what goes wrong ---


def failure(result: dg.ExecuteInProcessResult) -> dg.DagsterEvent:
    return next(event for event in result.all_events if event.is_step_failure)


def test_a_failure_is_a_sentence_and_keeps_the_days_before_it(busy: Pipeline) -> None:
    busy.account.simulator.faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE", skip=2))

    result = busy.run("busy", WEEK, raise_on_error=False)

    assert not result.success
    kept = busy.green("busy")
    assert kept == {str(day) for day in busy.store.days("busy")}
    assert 0 < len(kept) < 7
    data = failure(result).step_failure_data
    assert data.user_failure_data is not None
    assert data.user_failure_data.description is not None
    assert data.user_failure_data.description.startswith("busy: ")
    assert data.user_failure_data.metadata["error"].value == "ChatPrivate"
    assert data.error is not None
    assert data.error.cause is None


def test_the_next_run_goes_on_and_shows_the_kept_days_too(busy: Pipeline) -> None:
    busy.account.simulator.faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE", skip=2))
    busy.run("busy", WEEK, raise_on_error=False)
    kept = busy.green("busy")
    busy.account.simulator.faults.clear()
    asked = busy.account.calls()[HISTORY]

    result = busy.run("busy", WEEK)

    assert busy.green("busy") == texts(WEEK)
    assert busy.latest("busy", WEEK.last).metadata["fetch/resumed_days"].value == len(kept)
    logged = materializations(result)
    assert sorted(m.partition or "" for m in logged) == sorted(texts(WEEK))
    assert all(m.metadata["dagster/row_count"].value == 30 for m in logged)
    assert busy.account.calls()[HISTORY] - asked <= 2


def test_a_flood_wait_is_waited_for_and_the_step_tried_again(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path, "busy", flood_wait_max_seconds=0) as found:
        found.account.simulator.faults.add(Error(method=HISTORY, error="FLOOD_WAIT_1", skip=1, count=1))
        result = found.run("busy", WEEK)

        assert result.success
        assert found.green("busy") == texts(WEEK)
        events = [e.dagster_event for e in found.instance.all_logs(result.run_id) if e.dagster_event]
        kinds = [event.event_type_value for event in events]
        assert kinds.count("STEP_UP_FOR_RETRY") == 1
        assert kinds.index("ASSET_MATERIALIZATION") < kinds.index("STEP_UP_FOR_RETRY"), (
            "the first attempt did some days"
        )
        assert kinds.count("ASSET_MATERIALIZATION") == len(WEEK), "and none is repeated"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_terminated_run_ends_in_order_and_keeps_its_days(busy: Pipeline, number: signal.Signals) -> None:
    busy.account.simulator.faults.add(Latency(method=HISTORY, ms=200))
    days = first_days(10)
    killer = kill_self_when_green(busy, 3, number)

    with pytest.raises(dg.DagsterExecutionInterruptedError):
        busy.run("busy", days)
    killer.join()

    assert 3 <= len(busy.green("busy")) < 10
    busy.account.simulator.faults.clear()
    assert busy.run("busy", days).success, "the session's lease is free and the request can be gone on with"
    assert busy.green("busy") == texts(days)


def test_a_run_that_is_terminated_during_its_last_page_keeps_it_and_goes_no_further(busy: Pipeline) -> None:
    simulator = busy.account.simulator
    simulator.faults.add(Latency(method=HISTORY, ms=500))

    def terminate() -> None:
        assert wait_until(lambda: busy.account.calls()[HISTORY] == 1)
        os.kill(os.getpid(), signal.SIGTERM)

    terminator = threading.Thread(target=terminate)
    terminator.start()
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        busy.run("busy", FIRST_DAY)
    terminator.join()

    assert busy.green("busy") == {str(FIRST_DAY)}
    assert busy.account.calls()[HISTORY] == 1


RUN = """
import sys, dagster, tg_pipeline.definitions as definitions
first, last = sys.argv[1:]
definitions.defs.resolve_job_def("fetch_busy").execute_in_process(
    instance=dagster.DagsterInstance.get(),
    tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_keeps_its_days(busy: Pipeline) -> None:
    busy.account.simulator.faults.add(Latency(method=HISTORY, ms=300))
    days = first_days(10)
    command = [sys.executable, "-c", RUN, str(days.first), str(days.last)]
    with subprocess.Popen(command, env=environment_of(busy.account), stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: len(busy.green("busy")) >= 3, 60)
        process.kill()
    kept = busy.green("busy")
    assert kept < texts(days)
    on_disk = len(list(busy.store.days("busy")))
    busy.account.simulator.faults.clear()

    assert busy.run("busy", days).success

    assert busy.green("busy") == texts(days)
    resumed = busy.latest("busy", days.last).metadata["fetch/resumed_days"].value
    assert isinstance(resumed, int)
    assert len(kept) <= resumed <= on_disk, "the kill may fall between a day's file and Dagster's event of it"
    undisturbed = 300 // PAGE_SIZE + 1
    assert busy.account.calls()[HISTORY] <= undisturbed + CALLS_A_KILL


def moved(found: Pipeline, start: date) -> Pipeline:
    """The same, with the chat's start moved and the definitions loaded again, as it is for runs that were queued."""
    register(found.account.home, "busy", start=start)
    return Pipeline(found.account, found.instance)


@pytest.mark.parametrize(("asked", "first", "done"), [(7, 3, 4), (7, 6, 1), (3, 5, 0), (1, 2, 0)])
def test_days_that_are_no_partitions_any_more_are_left_out(busy: Pipeline, asked: int, first: int, done: int) -> None:
    start = FIRST_DAY + timedelta(days=first)
    late = moved(busy, start)
    tags = range_tags(first_days(asked)) if asked > 1 else {"dagster/partition": str(FIRST_DAY)}
    result = late.defs.resolve_job_def("fetch_busy").execute_in_process(instance=late.instance, tags=tags)
    assert result.success
    expected = {str(day) for day in first_days(asked) if day >= start}
    assert len(expected) == done
    assert late.green("busy") == expected
    assert {str(day) for day in late.store.days("busy")} == expected
    checked = {event.partition for event in result.get_asset_check_evaluations()}
    assert checked == expected
    assert (HISTORY in late.account.calls()) == bool(done)
