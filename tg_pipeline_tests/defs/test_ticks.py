import time
from pathlib import Path

import pytest
from dagster import DagsterInstance
from pydantic import SecretStr

from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.definitions import build_definitions
from tg_pipeline.defs.run_metrics import of_ticks
from tg_pipeline.defs.ticks import heartbeats, sensors
from tg_pipeline_tests.defs.beats import beat, tick
from tg_pipeline_tests.defs.pipeline import register


def test_the_tick_that_is_exported_is_that_of_the_longest_silent(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, dagster_home=tmp_path)

    def exported() -> dict[str, float]:
        return {metric.name: value for metric, _, value in of_ticks(instance, settings)}

    began = time.time()
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert exported() == {"scheduler_last_tick_ts_seconds": 0, "scheduler_interval_seconds": 30}
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
    assert found == [30, 60]
