"""Health, where the scheduler is Dagster's own daemon: it stops, and it comes back."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from tg_pipeline.contracts.events import timestamp
from tg_pipeline.contracts.health import Scheduler
from tg_pipeline.dagster_client.heartbeats import DagsterHeartbeats
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.monitoring.health import STALE_INTERVALS, HealthCheck
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import serving
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import account, plain_world

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trees")]


class Clock(SystemClock):
    """The machine's time, moved ahead by hand."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


def test_health_follows_the_daemon_of_dagster(tmp_path: Path) -> None:
    register(tmp_path, "busy")
    home = tmp_path / "instance"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    with account(plain_world(), tmp_path) as found:
        heartbeats, clock = DagsterHeartbeats(found.settings), Clock()
        with (
            closing(heartbeats),
            closing(HealthCheck(found.settings, heartbeats, clock=clock, limit_seconds=60)) as check,
        ):

            def seen() -> Scheduler:
                part = check.look().scheduler
                assert isinstance(part, Scheduler), part
                return part

            def is_ok_since(moment: float) -> bool:
                part = seen()
                return part.status == "ok" and (part.last_tick_ts or "") > timestamp(moment)

            assert seen().status == "down", "it was never there"
            with serving("dagster", "dev", environment=environment_of(found), log=tmp_path / "log"):
                assert wait_until(lambda: is_ok_since(0), 90), seen()
            stopped = time.time()
            clock.ahead = (STALE_INTERVALS + 1) * seen().interval_sec
            assert seen().status == "down", "no sensor ticks"
            clock.ahead = 0.0
            assert not is_ok_since(stopped)
            with serving("dagster", "dev", environment=environment_of(found), log=tmp_path / "log"):
                assert wait_until(lambda: is_ok_since(stopped), 90), seen()
