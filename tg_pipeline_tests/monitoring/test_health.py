"""The pipeline's health follows what happens to it, on a real instance, a real Redis and real files."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._core.scheduler.instigation import TickStatus
from pydantic import SecretStr

from tg_pipeline.app.commands import command_queue
from tg_pipeline.app.freshness import note_read
from tg_pipeline.app.login import DEAD_SESSIONS
from tg_pipeline.app.shared_state import state_store
from tg_pipeline.contracts.commands import CommandError
from tg_pipeline.contracts.errors import FloodWaitError, NetworkError
from tg_pipeline.contracts.health import (
    Absent,
    Chats,
    Health,
    Heartbeat,
    Heartbeats,
    Place,
    Queue,
    Redis,
    RunQueue,
    Scheduler,
    SessionHealth,
    Sessions,
    StateStoreHealth,
    Unread,
)
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.dagster_client.heartbeats import DagsterHeartbeats
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.machine.lease import lease
from tg_pipeline.monitoring.health import HealthCheck
from tg_pipeline.monitoring.in_parallel import SideBySide
from tg_pipeline.monitoring.summary import REDIS_GRACE_SECONDS, STALLED_SECONDS
from tg_pipeline.resilience.gate import Gate
from tg_pipeline.settings import Settings
from tg_pipeline.state import redis_server
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.telegram.sessions import Session, save_session
from tg_pipeline_tests.defs.beats import beat, tick
from tg_pipeline_tests.telegram_account import Account, account, first_days, plain_world

HISTORY = "messages.getHistory"
INTERVAL = 30.0
ADVICE = "Does tg-pipeline up run?"


class Clock(SystemClock):
    """Stands still until it is moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._began = super().now(), super().steady()

    def now(self) -> float:
        return self._began[0] + self.ahead

    def steady(self) -> float:
        return self._began[1] + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Account]:
    with account(plain_world(), tmp_path) as made:
        yield made


Looks = Callable[..., Callable[[], Health]]


@pytest.fixture
def looks(clock: Clock) -> Iterator[Looks]:
    """Looks at settings; what was opened for it is closed at the end."""
    opened: list[HealthCheck] = []

    def ticking() -> Heartbeats:
        return Heartbeats([Heartbeat("SENSOR", clock.now(), "me", INTERVAL)])

    def make(settings: Settings, heartbeats: Callable[[], Heartbeats] = ticking, **more: Any) -> Callable[[], Health]:
        opened.append(HealthCheck(settings, heartbeats, clock=clock, **more))
        return opened[-1].look

    yield make
    for check in opened:
        check.close()


def test_an_instance_that_is_well_says_so_and_tells_no_secret(login: Account, looks: Looks) -> None:
    login.settings.chats_path.write_text("chats:\n- slug: busy\n  chat: '@busy'\n")
    login.fetch("busy", first_days(2))
    health = looks(login.settings)()
    assert (health.status, health.ready, health.reasons, health.not_ready) == ("ok", True, [], [])
    assert health.redis == health.queue == Absent(reason="REDIS_URL is not set.")
    assert health.state_store == StateStoreHealth(status="ok", driver="sqlite", degraded=False, writable=True)
    assert health.sessions == Sessions(
        status="ok",
        source="settings",
        count=1,
        sessions=[SessionHealth(name="Session 1 of the settings", status="free")],
    )
    assert isinstance(health.rates, list)
    assert {(rate.account, rate.method) for rate in health.rates} >= {("500000001", HISTORY)}
    assert isinstance(health.storage, Place)
    assert (health.storage.location, health.storage.writable) == (login.settings.data_uri, True)
    assert health.storage.free_bytes
    assert isinstance(health.chats, Chats)
    assert health.chats.lag_sec["busy"] > 86_400
    assert set(health.reserved) == {"near_live_scheduler", "data_quality"}
    reported = health.model_dump_json()
    for secret in (login.simulator.session, login.simulator.api_hash):
        assert secret not in reported
    assert sorted(path.name for path in Path(login.settings.data_uri).iterdir()) == ["busy", "progress.json"]


def test_it_turns_stale_and_down_when_the_scheduler_stops_and_back(login: Account, looks: Looks, clock: Clock) -> None:
    """As Dagster's own instance tells it: its daemon writes a heartbeat each 30 s."""
    heartbeats = DagsterHeartbeats(login.settings)
    look = looks(login.settings, heartbeats, limit_seconds=30)
    login.settings.home.mkdir()
    (login.settings.home / "dagster.yaml").touch()

    def scheduler() -> tuple[str, str | None, str]:
        health = look()
        assert isinstance(health.scheduler, Scheduler)
        return health.scheduler.status, health.scheduler.lock_owner, health.status

    with closing(heartbeats), DagsterInstance.from_config(str(login.settings.home)) as instance:
        assert scheduler() == ("down", None, "down"), "it was never heard of"
        assert look().reasons == [f"scheduler: watchdog: there was no tick. {ADVICE}"]
        beat(instance, at=clock.now())
        assert scheduler() == ("down", "SENSOR of this machine", "down"), "no sensor ticks"
        tick(instance, "watchdog", at=clock.now() + 600)
        assert scheduler() == ("ok", "SENSOR of this machine", "ok")
        clock.ahead = 2 * INTERVAL + 5
        assert scheduler() == ("stale", "SENSOR of this machine", "degraded")
        clock.ahead = 10 * INTERVAL + 5
        health = look()
        assert (health.status, health.ready) == ("down", True)
        assert health.reasons == [f"scheduler: SENSOR: the last tick was 305 s ago. {ADVICE}"]
        clock.ahead = 0
        beat(instance, at=clock.now())
        assert scheduler()[0] == "ok"
        beat(instance, at=clock.now() - 100, names=("SCHEDULER",))
        assert scheduler() == ("ok", "SCHEDULER of this machine", "ok"), "it beats when a minute begins"
        beat(instance, at=clock.now() - 130, names=("SCHEDULER",))
        assert scheduler() == ("stale", "SCHEDULER of this machine", "degraded"), "both must run"


def test_it_is_starting_and_not_ready_until_the_sensors_have_ticked(login: Account, looks: Looks, clock: Clock) -> None:
    def heartbeats() -> Heartbeats:
        beat = Heartbeat("SENSOR", clock.now(), "me", INTERVAL)
        return Heartbeats([beat], [Heartbeat("commands", began, None, INTERVAL, is_starting=starting)])

    began, starting = clock.now(), True
    look = looks(login.settings, heartbeats)
    clock.ahead = INTERVAL
    health = look()
    assert (health.status, health.ready) == ("starting", False)
    assert health.not_ready == health.reasons
    assert isinstance(health.scheduler, Scheduler)
    assert (health.scheduler.status, health.scheduler.last_tick_ts) == ("starting", None)
    clock.ahead = 2 * INTERVAL + 5
    assert look().status == "down", "it takes too long"
    starting, clock.ahead = False, INTERVAL
    assert (look().status, look().ready) == ("ok", True)


def test_runs_that_are_queued_while_nothing_runs_make_it_degraded(login: Account, looks: Looks, clock: Clock) -> None:
    def status(stalled: float) -> str:
        beats = [Heartbeat("SENSOR", clock.now(), "me", INTERVAL)]
        return looks(login.settings, lambda: Heartbeats(beats, runs=RunQueue(2, stalled)))().status

    assert (status(STALLED_SECONDS - 1), status(STALLED_SECONDS + 1)) == ("ok", "degraded")


def test_it_is_down_when_a_sensor_stops_ticking_whatever_the_daemon_says(
    login: Account, looks: Looks, clock: Clock
) -> None:
    settings = login.settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    heartbeats = DagsterHeartbeats(settings)
    look = looks(settings, heartbeats, limit_seconds=30)
    settings.home.mkdir()
    (settings.home / "dagster.yaml").touch()

    def scheduler() -> tuple[str, str]:
        found = look().scheduler
        assert isinstance(found, Scheduler)
        return found.status, found.last_tick_of

    with closing(heartbeats), DagsterInstance.from_config(str(settings.home)) as instance:
        beat(instance, at=clock.now())
        tick(instance, "watchdog", "commands", "ended_runs", "a_sensor_of_an_earlier_release", at=clock.now() - 3_600)
        tick(instance, "watchdog", "ended_runs", at=clock.now())
        assert scheduler() == ("down", "commands")
        tick(instance, "commands", at=clock.now() - INTERVAL)
        assert scheduler() == ("ok", "commands"), "so long a tick may take"
        clock.ahead = 2 * INTERVAL + 5
        beat(instance, at=clock.now())
        tick(instance, "watchdog", "commands", at=clock.now())
        tick(instance, "ended_runs", at=clock.now(), status=TickStatus.FAILURE)
        assert scheduler() == ("down", "ended_runs"), "a tick that fails does no work"
        tick(instance, "ended_runs", on=False)
        assert scheduler()[0] == "ok", "somebody turned it off"


@pytest.mark.parametrize("which", ["data", "instance"])
def test_it_is_not_ready_while_it_cannot_write_and_is_again_by_itself(login: Account, looks: Looks, which: str) -> None:
    look = looks(login.settings)
    assert look().ready
    directory, aside = login.home / which, login.home / "aside"
    directory.rename(aside)
    directory.write_text("in its place")
    health = look()
    assert (health.status, health.ready) == ("down", False)
    name = {"data": "storage", "instance": "home"}[which]
    assert f"{name}: {directory} cannot be written: Not a directory." in health.not_ready
    part: Any = getattr(health, name)
    assert (part.status, part.writable, part.free_bytes) == ("down", False, None)
    directory.unlink()
    aside.rename(directory)
    assert (look().ready, look().status) == (True, "ok")


READ_ONLY = """
import os, sys, time
from pathlib import Path
from tg_pipeline.monitoring.health import HealthCheck
from tg_pipeline.settings import Settings
from tg_pipeline.contracts.health import Heartbeat, Heartbeats
home, data = Path(sys.argv[1], "home"), Path(sys.argv[1], "data")
settings = Settings(_env_file=None, dagster_home=home, data_uri=str(data))
check = HealthCheck(settings, lambda: Heartbeats([Heartbeat("SENSOR", time.time(), "me", 30)]))
Path(sys.argv[1]).chmod(0o777)
data.mkdir()
root = os.geteuid() == 0
data.chmod(0o555)
if root:
    os.seteuid(65534)  # modes mean nothing to root
print(check.look().model_dump_json(include={"ready", "not_ready"}))
if root:
    os.seteuid(0)
data.chmod(0o755)
print(check.look().ready)
"""


def test_it_is_not_ready_while_the_archive_is_read_only() -> None:
    with TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, directory], env=os.environ, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    sentence = f"storage: {directory}/data cannot be written: Permission denied."
    assert json.loads(first) == {"ready": False, "not_ready": [sentence]}
    assert second == "True"


class Going:
    """A Redis that goes and comes back on its port."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._running = local_redis(directory)
        self.url = self._running.__enter__()
        port = int(self.url.removesuffix("/0").rpartition(":")[2])
        monkeypatch.setattr(redis_server, "free_port", lambda: port)

    def stop(self) -> None:
        self._running.__exit__(None, None, None)

    def start(self) -> None:
        self._running = local_redis(self._directory)
        self._running.__enter__()


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Going]:
    going = Going(tmp_path / "redis", monkeypatch)
    yield going
    going.stop()


def test_a_redis_that_is_away_degrades_it_and_after_a_while_it_is_not_ready(
    login: Account, looks: Looks, redis: Going, clock: Clock
) -> None:
    look = looks(login.settings.model_copy(update={"redis_url": SecretStr(redis.url)}))
    health = look()
    assert (health.status, health.queue) == (
        "ok",
        Queue(pushed=0, waiting=0, in_flight=0, dead=0, untaken_sec=None, oldest_age_sec=None),
    )
    assert isinstance(health.redis, Redis)
    assert (health.redis.status, health.redis.away_sec) == ("ok", None)
    assert 0 < (health.redis.latency_ms or 0) < 1_000
    redis.stop()
    health = look()
    assert (health.status, health.ready) == ("degraded", True)
    assert health.state_store == StateStoreHealth(status="degraded", driver="redis", degraded=True, writable=True)
    assert isinstance(health.queue, Unread)
    clock.ahead = REDIS_GRACE_SECONDS + 1
    health = look()
    assert not health.ready
    (reason,) = health.not_ready
    assert reason.startswith("redis: Redis at 127.0.0.1:")
    redis.start()
    health = look()
    assert health.ready
    clock.ahead += 61  # the state store looks at its Redis again
    assert look().status == "ok"


def test_commands_that_nobody_takes_degrade_it(login: Account, looks: Looks, redis: Going, clock: Clock) -> None:
    settings = login.settings.model_copy(update={"redis_url": SecretStr(redis.url)})
    look = looks(settings)

    def queue() -> tuple[int, int | None, int | None, str]:
        health = look()
        assert isinstance(health.queue, Queue)
        ages = (health.queue.untaken_sec, health.queue.oldest_age_sec)
        untaken, oldest = (None if age is None else round(age, -1) for age in ages)
        return health.queue.pushed, untaken, oldest, health.status  # type: ignore[return-value]

    with closing(command_queue(settings)) as commands:
        commands.push("{}")
        assert queue() == (1, 0, 0, "ok")
        clock.ahead = 100
        assert queue() == (1, 100, 100, "degraded")
        assert [reason.partition(":")[0] for reason in look().reasons] == ["queue"]
        (taken,) = commands.take(1)
        commands.reject(taken, CommandError("MissingField", "it says nothing"), about={})
        assert queue() == (0, None, None, "ok")


def test_breakers_and_floods_are_told_with_the_time_that_is_left(login: Account, looks: Looks) -> None:
    settings = login.settings.model_copy(update={"circuit_breaker_failure_threshold": 1, "flood_wait_max_seconds": 60})
    look = looks(settings)
    with closing(state_store(settings)) as store:
        gate = Gate(store, "7", policy=settings.call_policy, clock=SystemClock(), meter=CallMeter())
        for error in (FloodWaitError(50, "a", "premium"), FloodWaitError(500, "b"), NetworkError("x")):

            async def fail(error: Exception = error) -> None:
                async with gate.passage(getattr(error, "method", "c")):
                    raise error

            with pytest.raises(type(error)):
                asyncio.run(fail())
        health = look()
    assert isinstance(health.flood_waits, list)
    assert isinstance(health.breakers, list)
    reported = [(one.account, one.method, one.reason, round(one.seconds_left, -1)) for one in health.flood_waits]
    assert reported == [("7", "a", "premium", 50), ("7", "b", "flood", 500)]
    assert health.flood_waits[0].until_ts < health.flood_waits[1].until_ts
    (breaker,) = health.breakers
    assert (breaker.component, breaker.state, round(breaker.seconds_left or 0, -1)) == ("telegram", "open", 60)
    assert health.status == "degraded"
    opened, flooded = health.reasons
    assert opened == "breakers: telegram is open: nothing is called."
    assert "before the next b." in flooded, "a wait that runs sit out is nothing to worry about"


async def test_a_session_in_use_is_told_with_its_process(login: Account, looks: Looks) -> None:
    settings = login.settings.model_copy(update={"telegram_sessions": None})
    look = looks(settings)
    health = look()
    assert isinstance(health.sessions, Sessions)
    assert (health.sessions.status, health.sessions.count, health.status) == ("none", 0, "degraded")
    save_session(settings.home / "sessions", "main", login.simulator.session)
    fingerprint = Session("it", login.simulator.session).fingerprint
    async with lease(settings.session_leases, [fingerprint], what="It", wait_seconds=0):
        held = look().sessions
    free = look().sessions
    one = SessionHealth(name="main", status="leased", leased_by=os.getpid())
    assert held == Sessions(status="ok", source="files", count=1, sessions=[one])
    assert isinstance(free, Sessions)
    assert free.sessions == [SessionHealth(name="main", status="free")]


def test_a_session_that_telegram_refused_is_no_good_health(login: Account, looks: Looks) -> None:
    with closing(state_store(login.settings)) as store:
        store.hash_set(DEAD_SESSIONS, {Session("it", login.simulator.session).fingerprint: b"1"})
    health = looks(login.settings)()
    assert (health.status, health.ready) == ("degraded", True)
    (reason,) = health.reasons
    assert reason.startswith("sessions: Telegram refused Session 1 of the settings")


def test_a_part_that_cannot_be_read_takes_no_other_along(login: Account, looks: Looks) -> None:
    login.settings.chats_path.write_text("chats: nonsense\n")

    def broken() -> Heartbeats:
        raise ValueError("password: hush")

    health = looks(login.settings, broken)()
    assert health.scheduler == Unread(reason="It could not be read (ValueError).")
    assert isinstance(health.chats, Unread)
    assert str(login.settings.chats_path) in health.chats.reason
    assert (health.status, health.ready, len(health.reasons)) == ("degraded", True, 2)
    assert "hush" not in health.model_dump_json()


def test_the_archive_s_password_is_not_told(login: Account, looks: Looks) -> None:
    settings = Settings(_env_file=None, dagster_home=login.settings.home, data_uri="ftp://me:hush@127.0.0.1:9/archive")
    health = looks(settings)()
    assert not health.ready
    assert "hush" not in health.model_dump_json()


def test_a_part_that_hangs_is_waited_for_once_and_not_begun_again() -> None:
    begun, release = [], Event()

    def hangs() -> str:
        begun.append(1)
        assert release.wait(20)
        return "at last"

    parts = SideBySide(limit_seconds=0.05)
    works = {"slow": hangs, "quick": lambda: "here"}
    for _ in range(3):
        assert parts.read(works) == {"slow": Unread(reason="There was no answer within 0.05 s."), "quick": "here"}
    release.set()
    time.sleep(0.05)
    assert parts.read(works)["slow"] == "at last"
    assert len(begun) == 1


def test_lags_are_those_of_registered_chats(login: Account, looks: Looks, clock: Clock) -> None:
    login.settings.chats_path.write_text("chats:\n- {slug: busy, chat: '@busy'}\n- {slug: other, chat: '@other'}\n")
    with closing(state_store(login.settings)) as store:
        note_read(store, "busy", clock.now() - 90)
        note_read(store, "stranger", clock.now())
    chats = looks(login.settings)().chats
    assert isinstance(chats, Chats)
    assert (chats.count, list(chats.lag_sec)) == (2, ["busy"])
    assert chats.lag_sec["busy"] == pytest.approx(90, abs=5)
