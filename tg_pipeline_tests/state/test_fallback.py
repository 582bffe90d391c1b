"""A Redis that goes away and comes back: the home store serves meanwhile, and what Telegram asked is not forgotten."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tg_pipeline.contracts.state import Change
from tg_pipeline.state.fallback import FIRST_PAUSE_SECONDS, FallbackStore
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore


class Time:
    """The machine's time, moved ahead by hand."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def now() -> Time:
    return Time()


class Going:
    """A real Redis that can be stopped, and another one that can take its place."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running = ExitStack()
        self.url = ""
        self.start()

    def start(self) -> None:
        self.url = self.running.enter_context(local_redis(self.directory))

    def stop(self) -> None:
        self.running.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Going]:
    going = Going(tmp_path / "redis")
    yield going
    going.stop()


@pytest.fixture
def degraded() -> list[bool]:
    return []


@pytest.fixture
def store(redis: Going, tmp_path: Path, now: Time, degraded: list[bool]) -> Iterator[FallbackStore]:
    home = SqliteStore(tmp_path / "home.sqlite", now)
    opened = FallbackStore(RedisStore(redis.url, now), home, on_degraded=degraded.append)
    yield opened
    opened.close()


def points_at(store: FallbackStore, url: str, now: Callable[[], float]) -> None:
    store._primary = RedisStore(url, now)


def test_the_home_serves_while_redis_is_away_and_says_so_once(
    store: FallbackStore, redis: Going, degraded: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert store.compare_and_set({"rate": Change(None, b"1"), "flood": Change(None, b"9", keep=True)}).done
    redis.stop()
    assert store.read("rate", "flood") == {"rate": None, "flood": b"9"}
    assert store.degraded
    assert not store.compare_and_set({"rate": Change(b"1", b"2")}).done
    assert store.add("n") == 1
    assert degraded == [False, True]
    assert len(caplog.records) == 1
    assert "until it is back" in caplog.text.lower()


def test_redis_is_used_again_when_it_is_back(
    store: FallbackStore, redis: Going, now: Time, degraded: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    redis.stop()
    store.add("n")
    redis.start()
    points_at(store, redis.url, now)
    assert store.add("n") == 2, "it was left alone for a while"
    now.ahead += FIRST_PAUSE_SECONDS
    assert store.add("n") == 1
    assert not store.degraded
    assert degraded == [False, True, False]
    assert "Redis is back" in caplog.text


def test_looks_at_a_dead_redis_get_rarer(store: FallbackStore, redis: Going, now: Time) -> None:
    redis.stop()
    looks = []
    store.add("n")
    for _ in range(300):
        before = store._look_again
        now.ahead += 1
        store.add("n")
        if store._look_again != before:
            looks.append(now.ahead)
    assert looks[0] == pytest.approx(FIRST_PAUSE_SECONDS, abs=1.1)
    assert len(looks) <= 9


def test_what_is_kept_twice_is_overwritten_at_home(store: FallbackStore, redis: Going) -> None:
    store.compare_and_set({"flood": Change(None, b"1", keep=True)})
    store.compare_and_set({"flood": Change(b"1", b"2")})
    store.compare_and_set({"flood": Change(b"2", b"3", keep=True)})
    redis.stop()
    assert store.read("flood") == {"flood": b"3"}
