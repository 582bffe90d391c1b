"""A run whose process died without a word is ended; one whose process lives never is."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from tg_pipeline.dagster_client.names import BACKFILL_TAG, CHAT_TAG
from tg_pipeline.dagster_client.ticks import OVERDUE_INTERVALS
from tg_pipeline.dagster_internals.ticks import DEFAULT_HEARTBEAT_INTERVAL_SECONDS
from tg_pipeline.defs.watchdog import (
    CODE_LOCATION_TAG,
    GRACE_SECONDS,
    LAUNCH_SECONDS,
    LOOK_EVERY_SECONDS,
    STARTING_SECONDS,
    end_dead_runs,
    watchdog_sensor,
    watched_executor,
)
from tg_pipeline.machine.lease import look
from tg_pipeline_tests.defs.databases import lay_databases
from tg_pipeline_tests.defs.pipeline import INSTANCE_FILE

POOL = "telegram"
OURS = "tg_pipeline"
HOLDER = """
import sys, time
from pathlib import Path
from tg_pipeline.machine.lease import hold_until_exit

for _ in range(2):
    hold_until_exit(Path(sys.argv[1]), sys.argv[2], what="It")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    lay_databases(tmp_path)
    (tmp_path / "dagster.yaml").write_text(INSTANCE_FILE)
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        found.event_log_storage.set_concurrency_slots(POOL, 1)
        yield found


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@dg.job
def nothing() -> None:
    pass


def under_way(instance: dg.DagsterInstance, *, location: str | None = None) -> str:
    """A run that has started and holds the pool's slot."""
    run = instance.create_run_for_job(nothing, tags={CODE_LOCATION_TAG: location} if location else {})
    started = dg.DagsterEvent("PIPELINE_START", nothing.name)
    instance.report_dagster_event(started, run.run_id)
    instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "step")
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def slots_taken(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(POOL).active_slot_count


@contextmanager
def process_of(run_id: str, leases: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process that holds the run's lease; killed in the end."""
    command = [sys.executable, "-c", HOLDER, str(leases), run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def leases_of(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "runs"


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def fails_once(context: dg.OpExecutionContext) -> None:
    assert look(leases_of(context.instance), context.run_id) == "held"
    if context.retry_number == 0:
        raise dg.Failure


def retrying(leases: str) -> dg.JobDefinition:
    return dg.GraphDefinition("retrying", node_defs=[fails_once]).to_job(executor_def=watched_executor(Path(leases)))


def test_a_run_is_alive_from_its_first_step_to_the_end_of_its_process(
    instance: dg.DagsterInstance, leases: Path
) -> None:
    job = dg.build_reconstructable_job(__name__, "retrying", (str(leases),))
    with dg.execute_job(job, instance) as result:
        assert result.success
        assert look(leases, result.run_id) == "held"


def test_a_run_whose_process_was_killed_fails_and_frees_its_slot(instance: dg.DagsterInstance, leases: Path) -> None:
    run_id = under_way(instance)
    assert slots_taken(instance) == 1
    with process_of(run_id, leases):
        assert end_dead_runs(instance, leases, location=OURS, now=time.time()) == []
        assert status(instance, run_id) is dg.DagsterRunStatus.STARTED
    assert end_dead_runs(instance, leases, location=OURS, now=time.time()) == [run_id]
    assert status(instance, run_id) is dg.DagsterRunStatus.FAILURE
    assert slots_taken(instance) == 0
    assert not list(leases.iterdir())
    (event,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "process is no more" in str(event.dagster_event and event.dagster_event.message)


def test_a_live_run_is_left_alone_however_old(instance: dg.DagsterInstance, leases: Path) -> None:
    run_id = under_way(instance, location=OURS)
    with process_of(run_id, leases):
        assert end_dead_runs(instance, leases, location=OURS, now=time.time() + 1e6) == []
        assert look(leases, run_id) == "held"
    assert status(instance, run_id) is dg.DagsterRunStatus.STARTED


def test_a_dead_run_that_somebody_was_cancelling_is_cancelled(instance: dg.DagsterInstance, leases: Path) -> None:
    run_id = under_way(instance)
    with process_of(run_id, leases):
        pass
    instance.report_run_canceling(instance.get_run_by_id(run_id))  # type: ignore[arg-type]
    assert end_dead_runs(instance, leases, location=OURS, now=time.time()) == [run_id]
    assert status(instance, run_id) is dg.DagsterRunStatus.CANCELED
    assert slots_taken(instance) == 0


def launched(instance: dg.DagsterInstance, *, pid: int | None = None) -> str:
    """A run that the code server was asked to start; `pid` is what it said of its process."""
    run = instance.create_run_for_job(nothing, tags={CODE_LOCATION_TAG: OURS})
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", nothing.name), run.run_id)
    if pid is not None:
        instance.report_engine_event("Started process for run.", run, EngineEventData.in_process(pid))
    return run.run_id


@contextmanager
def spawned_worker(home: Path) -> Iterator[int]:
    """A process with the command line of those that carry out runs of the instance in `home`."""
    code = "import sys; print(flush=True); sys.stdin.read() # from multiprocessing.spawn import spawn_main"
    command = [sys.executable, "-c", code, "--multiprocessing-fork"]
    environment = os.environ | {"DAGSTER_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


SOON, LATER = STARTING_SECONDS - 10, STARTING_SECONDS + 10


@pytest.mark.parametrize("pid", [None, 2**22 + 1])
def test_a_run_that_is_starting_and_has_no_process_is_ended_at_once(
    instance: dg.DagsterInstance, leases: Path, pid: int | None
) -> None:
    run_id = launched(instance, pid=pid)
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + SOON) == [], "it is just being launched"
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + LATER) == [run_id]
    assert status(instance, run_id) is dg.DagsterRunStatus.FAILURE


def test_a_run_that_is_starting_is_left_alone_while_its_process_exists(
    instance: dg.DagsterInstance, leases: Path, tmp_path: Path
) -> None:
    with spawned_worker(tmp_path) as pid:
        said, silent, dead = launched(instance, pid=pid), launched(instance), launched(instance, pid=2**22 + 1)
        assert end_dead_runs(instance, leases, location=OURS, now=time.time() + 1e6) == [dead]
    assert set(end_dead_runs(instance, leases, location=OURS, now=time.time() + LATER)) == {said, silent}


def test_the_processes_of_other_runs_and_homes_are_not_its_own(
    instance: dg.DagsterInstance, leases: Path, tmp_path: Path
) -> None:
    run_id, other = launched(instance), under_way(instance, location=OURS)
    with spawned_worker(tmp_path / "elsewhere"), spawned_worker(tmp_path) as pid, process_of(other, leases):
        (leases / f"{other}.lock").write_text(json.dumps({"pid": pid}))
        assert end_dead_runs(instance, leases, location=OURS, now=time.time() + LATER) == [run_id]


def test_a_started_run_that_never_held_its_lease_has_ten_minutes_if_a_process_may_be_its_own(
    instance: dg.DagsterInstance, leases: Path, tmp_path: Path
) -> None:
    run_id = under_way(instance, location=OURS)
    with spawned_worker(tmp_path):
        assert end_dead_runs(instance, leases, location=OURS, now=time.time() + GRACE_SECONDS - 10) == []
        assert end_dead_runs(instance, leases, location=OURS, now=time.time() + GRACE_SECONDS + 10) == [run_id]
    other = under_way(instance, location=OURS)
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + SOON) == []
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + LATER) == [other]


def test_a_lease_that_is_just_being_taken_does_not_count_as_left(instance: dg.DagsterInstance, leases: Path) -> None:
    run_id = under_way(instance, location=OURS)
    leases.mkdir()
    (leases / f"{run_id}.lock").touch()
    assert end_dead_runs(instance, leases, location=OURS, now=time.time()) == []


def test_a_run_that_no_launcher_started_and_no_lease_stands_for_is_left_alone(
    instance: dg.DagsterInstance, leases: Path
) -> None:
    run_id = under_way(instance)
    waiting = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.NOT_STARTED).run_id
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + 1e6) == []
    assert status(instance, run_id) is dg.DagsterRunStatus.STARTED
    assert status(instance, waiting) is dg.DagsterRunStatus.NOT_STARTED


def test_a_run_of_another_code_location_takes_no_lease_and_is_left_alone(
    instance: dg.DagsterInstance, leases: Path
) -> None:
    run_id = under_way(instance, location="another")
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + 1e6) == []
    assert end_dead_runs(instance, leases, location=None, now=time.time() + 1e6) == []
    assert status(instance, run_id) is dg.DagsterRunStatus.STARTED


def test_a_run_of_a_backfill_that_the_daemon_did_not_come_to_submit_fails(
    instance: dg.DagsterInstance, leases: Path
) -> None:
    tags = {CHAT_TAG: "busy", BACKFILL_TAG: "b"}
    created = dg.DagsterRunStatus.NOT_STARTED
    forgotten = instance.create_run_for_job(nothing, status=created, tags=tags).run_id
    of_a_sensor = instance.create_run_for_job(nothing, status=created, tags={CHAT_TAG: "busy"}).run_id
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + LAUNCH_SECONDS - 10) == []
    assert end_dead_runs(instance, leases, location=OURS, now=time.time() + LAUNCH_SECONDS + 10) == [forgotten]
    assert status(instance, forgotten) is dg.DagsterRunStatus.FAILURE
    assert status(instance, of_a_sensor) is created


def test_files_of_runs_that_ended_go_once_their_process_has(instance: dg.DagsterInstance, leases: Path) -> None:
    run_id = under_way(instance)
    with process_of(run_id, leases):
        instance.report_run_failed(instance.get_run_by_id(run_id))  # type: ignore[arg-type]
        assert end_dead_runs(instance, leases, location=OURS, now=time.time()) == []
        assert [file.stem for file in leases.iterdir()] == [run_id]
    assert end_dead_runs(instance, leases, location=OURS, now=time.time()) == []
    assert not list(leases.iterdir())


def test_launchers_that_watch_their_runs_themselves_are_left_to_it(tmp_path: Path, leases: Path) -> None:
    launcher = "run_launcher: {module: dagster._core.test_utils, class: MockedRunLauncher}\n"
    (tmp_path / "dagster.yaml").write_text(INSTANCE_FILE + launcher)
    with dg.DagsterInstance.from_config(str(tmp_path)) as other:
        run_id = under_way(other)
        with process_of(run_id, leases):
            pass
        assert end_dead_runs(other, leases, location=OURS, now=time.time()) == []


def test_the_sensor_runs_by_default_and_says_which_run_it_ended(instance: dg.DagsterInstance, leases: Path) -> None:
    sensor = watchdog_sensor(leases)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    run_id = under_way(instance)
    with process_of(run_id, leases):
        pass
    said = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(said, dg.SkipReason)
    assert run_id in str(said.skip_message)


def test_a_run_that_cannot_be_ended_keeps_no_other_from_it(
    instance: dg.DagsterInstance, leases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, dead = under_way(instance, location="ours"), under_way(instance, location="ours")

    def fails(directory: Path, run_id: str) -> str:
        if run_id == bad:
            raise OSError(run_id)
        return look(directory, run_id)

    monkeypatch.setattr("tg_pipeline.defs.watchdog.look", fails)
    later = time.time() + GRACE_SECONDS + 60
    assert end_dead_runs(instance, leases, location="ours", now=later) == [dead]


def test_one_look_that_fails_is_no_outage() -> None:
    assert 2 * LOOK_EVERY_SECONDS < OVERDUE_INTERVALS * DEFAULT_HEARTBEAT_INTERVAL_SECONDS
