"""Runs over several chats: real runs, in this process, against the simulator."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.defs import failures
from tg_pipeline.simulator import Error, Latency
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.defs.pipeline import Pipeline, environment_of, pipeline, range_tags
from tg_pipeline_tests.defs.servers import launch_together
from tg_pipeline_tests.live_platform import CHATS, LivePlatform
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days, world_of

HISTORY = "messages.getHistory"
NAMES = ("one", "three", "two")
DAYS = first_days(3)
PAGES = 2
"""Calls that read a chat: what may come after the last message is asked for as well."""


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Pipeline]:
    """Three chats with 30 messages on each of three days, read a page at a time."""
    chats = [synthetic_chat(name, per_day=30, first_day=FIRST_DAY, last_day=DAYS.last) for name in NAMES]
    with pipeline(world_of(*chats), tmp_path, *NAMES, fetch_pages_in_flight=1, retry_max_attempts=1) as found:
        yield found


def run(found: Pipeline, *, raise_on_error: bool = False) -> dg.ExecuteInProcessResult:
    """One run over the chats, as the UI and the schedule launch it."""
    return (
        found.defs.get_repository_def()
        .get_job("__ASSET_JOB")
        .execute_in_process(
            instance=found.instance,
            tags=range_tags(DAYS),
            asset_selection=[messages_key(name) for name in NAMES],
            raise_on_error=raise_on_error,
        )
    )


def whole(found: Pipeline) -> set[str]:
    """The chats whose days are in the archive, each without a finding, and green in Dagster."""
    days = {str(day) for day in DAYS}
    return {
        name
        for name in NAMES
        if found.green(name) == days and not [f for day in DAYS for f in found.store.verify_day(name, day)]
    }


def of_steps(result: dg.ExecuteInProcessResult, kind: str) -> list[str]:
    """The chats whose asset's step had such an event."""
    keys = [e.step_key for e in result.all_events if e.event_type_value == kind]
    return [name for name in NAMES for key in keys if key == messages_key(name).to_python_identifier()]


def test_a_run_over_chats_has_one_connection_and_a_step_a_chat(three: Pipeline) -> None:
    result = run(three)

    assert result.success
    assert whole(three) == set(NAMES)
    assert {entry["connection"] for entry in three.account.simulator.journal} == {1}
    assert of_steps(result, "STEP_SUCCESS") == list(NAMES)
    assert len(of_steps(result, "ASSET_MATERIALIZATION")) == len(NAMES) * len(DAYS)
    assert len(result.get_asset_check_evaluations()) == len(NAMES) * len(DAYS)
    greeting = 1
    costs = [three.latest(name, DAYS.last).metadata["fetch/calls"].value for name in NAMES]
    assert sum(map(int, map(str, costs))) == three.account.calls().total() - greeting, "each chat tells its own"


def test_its_chats_are_read_at_once(three: Pipeline) -> None:
    three.account.simulator.faults.add(Latency(method=HISTORY, ms=100))
    run(three)
    pages = [e["params"]["peer"]["channel_id"] for e in three.account.simulator.journal if e["method"] == HISTORY]
    assert len(set(pages[:2])) == 2, "the second chat begins while the first is being read"
    assert len(set(pages[:3])) == 2, "and the third when one of them is done"


def test_a_chat_that_cannot_be_read_fails_by_itself(three: Pipeline) -> None:
    three.account.simulator.faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE", when={"chat": "one"}))

    result = run(three)

    assert not result.success
    assert of_steps(result, "STEP_FAILURE") == ["one"]
    assert whole(three) == {"three", "two"}
    assert three.green("one") == set()
    checked = {evaluation.asset_key for evaluation in result.get_asset_check_evaluations()}
    assert checked == {messages_key(name) for name in ("three", "two")}


def test_only_the_step_of_the_chat_that_failed_is_tried_again(three: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "PAUSE_SECONDS", 0)
    three.account.simulator.faults.add(Error(method=HISTORY, error="RPC_CALL_FAIL", when={"chat": "one"}, count=1))

    result = run(three)

    assert result.success
    assert whole(three) == set(NAMES)
    assert of_steps(result, "STEP_UP_FOR_RETRY") == ["one"]
    pages = [e["params"]["peer"]["channel_id"] for e in three.account.simulator.journal if e["method"] == HISTORY]
    counts = sorted(pages.count(channel) for channel in set(pages))
    assert counts == [PAGES, PAGES, PAGES + 1], "and no other chat is read again"


def test_a_chat_that_begins_later_is_read_from_its_start_on(tmp_path: Path) -> None:
    chats = [synthetic_chat(name, per_day=30, first_day=FIRST_DAY, last_day=DAYS.last) for name in NAMES]
    with pipeline(world_of(*chats), tmp_path, *NAMES) as found:
        text = (tmp_path / "chats.yaml").read_text()
        (tmp_path / "chats.yaml").write_text(text.replace(f'"@two", start: {FIRST_DAY}', f'"@two", start: {DAYS.last}'))
        late = Pipeline(found.account, found.instance)
        assert run(late).success
        assert late.green("two") == {str(DAYS.last)}
        assert late.green("one") == {str(day) for day in DAYS}


def test_a_terminated_run_ends_all_its_chats_in_order(three: Pipeline) -> None:
    three.account.simulator.faults.add(Latency(method=HISTORY, ms=200))

    def terminate() -> None:
        assert wait_until(lambda: three.account.calls()[HISTORY] == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    terminator = threading.Thread(target=terminate)
    terminator.start()
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        run(three, raise_on_error=True)
    terminator.join()

    three.account.simulator.faults.clear()
    assert not [thread for thread in threading.enumerate() if thread.name == "fetches"]
    assert run(three).success, "the session's lease and the chats' are free"
    assert whole(three) == set(NAMES)


RUN = """
import sys, dagster, tg_pipeline.definitions as definitions
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.dagster_client.names import messages_key
first, last, *names = sys.argv[1:]
definitions.defs.get_repository_def().get_job("__ASSET_JOB").execute_in_process(
    instance=dagster.DagsterInstance.get(),
    asset_selection=[messages_key(name) for name in names],
    tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
)
"""


@pytest.mark.slow
def test_a_run_over_chats_that_is_killed_is_gone_on_with(three: Pipeline) -> None:
    three.account.simulator.faults.add(Latency(method=HISTORY, ms=300))
    command = [sys.executable, "-c", RUN, str(DAYS.first), str(DAYS.last), *NAMES]
    with subprocess.Popen(command, env=environment_of(three.account), stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: three.account.calls()[HISTORY] >= 3, 60)
        process.kill()
    three.account.simulator.faults.clear()

    assert run(three).success

    assert whole(three) == set(NAMES)
    counts = {three.latest(name, day).metadata["dagster/row_count"].value for name in NAMES for day in DAYS}
    assert counts == {30}


@pytest.mark.slow
@pytest.mark.xdist_group("live")
def test_a_launched_run_over_chats_publishes_the_end_of_each(live: LivePlatform) -> None:
    connections = {entry["connection"] for entry in live.account.simulator.journal}
    run_id = launch_together(live.url, ("left", "right", "gone"), first_days(2))

    def ends() -> dict[str, tuple[str, str]]:
        with closing(CommandQueue(live.redis_url)) as queue:
            events = [event for _, event in queue.events() if event["command_id"].startswith(run_id)]
        return {e["command_id"]: (e["event"], e["status"]) for e in events if e["event"] in {"completed", "failed"}}

    assert wait_until(lambda: len(ends()) == 3, 180), live.end_of_log
    assert ends() == {
        f"{run_id}:left": ("completed", "success"),
        f"{run_id}:right": ("completed", "success"),
        f"{run_id}:gone": ("failed", "failed"),
    }
    channels = {CHATS[slug].chat(slug).peer.channel_id for slug in ("left", "right")}
    read = [e for e in live.account.simulator.journal if e["params"].get("peer", {}).get("channel_id") in channels]
    assert {e["params"]["peer"]["channel_id"] for e in read} == channels
    assert len({e["connection"] for e in read} - connections) == 1, "one connection, and the run's own"
