import os
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from pydantic import SecretStr

from tg_pipeline.app.running import LEASE
from tg_pipeline.contracts.health import RunQueue
from tg_pipeline.dagster_client.run_metrics import of_ticks
from tg_pipeline.dagster_client.ticks import heartbeats, queue_of, sensors
from tg_pipeline.definitions import build_definitions
from tg_pipeline.machine.lease import hold_until_exit
from tg_pipeline.settings import Settings
from tg_pipeline_tests.defs.beats import beat, tick
from tg_pipeline_tests.defs.pipeline import register


def start_up(home: Path, *, at: float) -> None:
    """As `tg-pipeline up` does, in this process."""
    hold_until_exit(home, LEASE, what="it")
    os.utime(home / f"{LEASE}.lock", (at, at))


def test_the_tick_that_is_exported_is_that_of_the_longest_silent(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, dagster_home=tmp_path)

    def exported() -> dict[str, float]:
        return {metric.name: value for metric, _, value in of_ticks(instance, settings)}

    began = time.time()
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert exported() == {
            "scheduler_last_tick_ts_seconds": 0,
            "scheduler_interval_seconds": 30,
            "runs_stalled_seconds": 0,
        }
        beat(instance, at=began)
        assert exported()["scheduler_last_tick_ts_seconds"] == 0, "no sensor has ticked"
        tick(instance, "watchdog", at=began - 1_000)
        assert exported()["scheduler_last_tick_ts_seconds"] == pytest.approx(began - 1_000)
        tick(instance, "watchdog", at=began + 1_000)
        assert exported()["scheduler_last_tick_ts_seconds"] == pytest.approx(began)


def test_the_scheduler_beats_once_a_minute_and_is_judged_by_that(tmp_path: Path) -> None:
    settings, now = Settings(_env_file=None, dagster_home=tmp_path), time.time()
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        beat(instance, names=("SENSOR",))
        beat(instance, at=now - 80, names=("SCHEDULER",))
        tick(instance, *sensors(settings))
        exported = {metric.name: value for metric, _, value in of_ticks(instance, settings)}
    assert exported["scheduler_last_tick_ts_seconds"] == pytest.approx(now - 80)
    assert exported["scheduler_interval_seconds"] == 60, "an alert comes after two"


def test_after_a_start_what_was_silent_before_has_its_time_from_the_start(tmp_path: Path) -> None:
    """Else an alert would fire after each night in which nothing ran."""
    settings, now = Settings(_env_file=None, dagster_home=tmp_path), float(int(time.time()))
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        beat(instance, at=now - 36_000)
        tick(instance, "watchdog", at=now - 36_000)
        start_up(tmp_path, at=now - 20)
        found = heartbeats(instance, settings)
        assert {(one.at, one.is_starting) for one in (*found.beats, *found.ticks)} == {(now - 20, True)}
        exported = {metric.name: value for metric, _, value in of_ticks(instance, settings)}
        assert exported["scheduler_last_tick_ts_seconds"] == now - 20
        tick(instance, "watchdog", at=now)
        (ticked,) = heartbeats(instance, settings).ticks
        assert (ticked.at, ticked.is_starting) == (now, False)


@dg.job
def nothing() -> None:
    pass


def test_queued_runs_that_nothing_moves_for_are_stalled(tmp_path: Path) -> None:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("tg_pipeline"), "__repository__")
    origin = RemoteJobOrigin(repository, nothing.name)
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        starting = instance.create_run_for_job(nothing).run_id
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", nothing.name), starting)
        now = time.time() + 1_000
        assert queue_of(instance, 0.0, now) == RunQueue(0, 0.0)
        instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin)
        found = queue_of(instance, 0.0, now)
        assert found.queued == 1
        assert found.stalled_seconds == pytest.approx(1_000, abs=60)
        assert queue_of(instance, now - 10, now) == RunQueue(1, 10.0), "before the start it could not move"
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", nothing.name), starting)
        assert queue_of(instance, 0.0, now) == RunQueue(1, 0.0), "however long a run takes"


def test_the_sensors_that_must_tick_are_among_the_definitions(tmp_path: Path) -> None:
    register(tmp_path, "busy")
    settings = Settings(_env_file=None, dagster_home=tmp_path, chats_file=tmp_path / "chats.yaml")
    for given in (settings, settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})):
        defined = build_definitions(given).sensors or []
        assert set(sensors(given)) == {sensor.name for sensor in defined}


def test_a_sensor_that_is_set_to_look_seldom_may_take_as_long(tmp_path: Path) -> None:
    alone = Settings(_env_file=None, dagster_home=tmp_path, commands_interval_seconds=60)
    seldom = alone.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        found = [heartbeats(instance, settings).ticks[0].interval_seconds for settings in (alone, seldom)]
    assert found == [30, 90]
