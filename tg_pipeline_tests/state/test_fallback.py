"""A Redis that goes away and comes back: the home store serves meanwhile, and what Telegram asked is not forgotten."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.state import Batch, Change, StateStore
from tg_pipeline.state import redis_server
from tg_pipeline.state.fallback import FIRST_PAUSE_SECONDS, FallbackStore
from tg_pipeline.state.redis_client import OUTAGE
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline_tests.processes import wait_until


class Time:
    """The machine's time, moved ahead by hand."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def now() -> Time:
    return Time()


class Going:
    """A real Redis that can be stopped and started again on its port, without its data."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.running = ExitStack()
        self.url = ""
        self.start()
        port = int(self.url.removesuffix("/0").rpartition(":")[2])
        monkeypatch.setattr(redis_server, "free_port", lambda: port)

    def start(self) -> None:
        self.url = self.running.enter_context(local_redis(self.directory))

    def stop(self) -> None:
        self.running.close()


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Going]:
    going = Going(tmp_path / "redis", monkeypatch)
    yield going
    going.stop()


@pytest.fixture
def opened(redis: Going, tmp_path: Path, now: Time) -> Callable[[], FallbackStore]:
    """The store as each process of this home opens it."""
    return lambda: FallbackStore(RedisStore(redis.url, now), SqliteStore(tmp_path / "home.sqlite", now))


@pytest.fixture
def store(opened: Callable[[], FallbackStore]) -> Iterator[FallbackStore]:
    store = opened()
    yield store
    store.close()


def test_the_home_serves_while_redis_is_away_and_says_so_once(
    store: FallbackStore, redis: Going, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert store.compare_and_set({"rate": Change(None, b"1"), "flood": Change(None, b"9", keep=True)}).done
    redis.stop()
    assert store.read("rate", "flood") == {"rate": None, "flood": b"9"}
    assert store.degraded
    assert not store.compare_and_set({"rate": Change(b"1", b"2")}).done
    assert store.add("n") == 1
    assert len(caplog.records) == 1


def test_redis_is_used_again_when_it_is_back(
    store: FallbackStore, redis: Going, now: Time, caplog: pytest.LogCaptureFixture
) -> None:
    redis.stop()
    store.add("n")
    redis.start()
    assert store.add("n") == 2, "it was left alone for a while"
    now.ahead += FIRST_PAUSE_SECONDS
    assert store.add("n") == 1
    assert not store.degraded
    assert len(caplog.records) == 2, "away and back"


def test_redis_is_used_again_at_once_where_another_of_the_process_has_reached_it(
    opened: Callable[[], FallbackStore], store: FallbackStore, redis: Going
) -> None:
    redis.stop()
    store.add("n")
    redis.start()
    assert opened().add("n") == 1
    assert store.add("n") == 2
    assert not store.degraded


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


def flood(store: FallbackStore, value: bytes) -> None:
    held = store.read("flood")["flood"]
    assert store.compare_and_set({"flood": Change(held, value, 3_600, keep=True)}).done


@pytest.mark.parametrize("known", [None, b"before"])
@pytest.mark.parametrize("same_process", [True, False])
def test_a_flood_told_while_redis_was_away_holds_when_it_is_back(
    opened: Callable[[], FallbackStore], redis: Going, now: Time, *, known: bytes | None, same_process: bool
) -> None:
    store, elsewhere = opened(), RedisStore(redis.url, now)
    redis.stop()
    flood(store, b"told")
    redis.start()
    if known:
        elsewhere.compare_and_set({"flood": Change(None, known)})
    now.ahead += FIRST_PAUSE_SECONDS
    later = store if same_process else opened()
    assert later.read("flood") == {"flood": b"told"}
    assert not later.degraded
    assert elsewhere.read("flood") == {"flood": b"told"}
    flood(later, b"newer")
    assert opened().read("flood") == {"flood": b"newer"}, "a debt is paid once"


def test_a_redis_that_lost_its_data_is_told_of_the_flood_again(store: FallbackStore, redis: Going) -> None:
    flood(store, b"told")
    redis.stop()
    redis.start()
    outcome = store.compare_and_set({"flood": Change(None, b"calls go on")})
    assert not outcome.done
    assert outcome.values == {"flood": b"told"}
    redis.stop()
    redis.start()
    assert store.read("flood", "other") == {"flood": b"told", "other": None}
    assert not store.degraded, "it was back before anybody asked"


def test_the_keys_found_are_those_that_can_be_read(
    opened: Callable[[], FallbackStore], store: FallbackStore, redis: Going
) -> None:
    store.compare_and_set({"only in Redis": Change(None, b"1")})
    flood(store, b"told")
    assert store.keys("") == ["flood", "only in Redis"]
    redis.stop()
    assert store.keys("") == ["flood"], "those of the home while that serves"
    redis.start()
    later = opened()
    assert later.keys("") == ["flood"], "a Redis that lost its data will be told of it"
    assert later.keys("only") == []
    assert later.read("flood") == {"flood": b"told"}


def test_tokens_grow_though_redis_lost_its_data(store: FallbackStore, redis: Going) -> None:
    before = store.acquire("l", "a", ttl_seconds=30)
    redis.stop()
    redis.start()
    assert before is not None
    assert not store.renew(before, ttl_seconds=30)
    after = store.acquire("l", "a", ttl_seconds=30)
    assert after is not None
    assert after.token > before.token
    assert not store.degraded


def test_a_lease_is_taken_at_home_while_redis_is_away(store: FallbackStore, redis: Going, now: Time) -> None:
    there = store.acquire("l", "a", ttl_seconds=30)
    redis.stop()
    assert there is not None
    assert not store.renew(there, ttl_seconds=30)
    here = store.acquire("l", "a", ttl_seconds=30)
    assert here is not None
    assert here.token > there.token
    assert store.acquire("l", "b", ttl_seconds=30) is None


def test_a_home_that_cannot_be_written_does_not_undo_what_redis_did(
    redis: Going, tmp_path: Path, now: Time, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    home = SqliteStore(tmp_path / "file" / "home.sqlite", now)
    store = FallbackStore(RedisStore(redis.url, now), home)
    assert store.compare_and_set({"flood": Change(None, b"9", keep=True)}).done
    assert store.read("flood") == {"flood": b"9"}
    assert len(caplog.records) == 1
    assert "home.sqlite" in caplog.text
    redis.stop()
    with pytest.raises(StateUnavailable):
        store.read("flood")


def sums(store: StateStore) -> dict[str, float]:
    return {field: float(value) for field, value in store.hash_get("sums").items()}


@pytest.mark.parametrize("same_process", [True, False])
def test_batches_added_while_redis_was_away_are_in_its_sums_when_it_is_back(
    opened: Callable[[], FallbackStore], redis: Going, now: Time, *, same_process: bool
) -> None:
    store, elsewhere = opened(), RedisStore(redis.url, now)
    redis.stop()
    for number in range(1, 12):
        assert store.hash_add("sums", Batch("one", number, {"a": 1}))
    assert opened().hash_add("sums", Batch("other", 1, {"a": 0.5, "b": 1}))
    redis.start()
    elsewhere.hash_add("sums", Batch("elsewhere", 1, {"a": 100}))
    now.ahead += FIRST_PAUSE_SECONDS
    later = store if same_process else opened()
    assert sums(later) == sums(elsewhere) == {"a": 111.5, "b": 1}
    assert later.hash_add("sums", Batch("one", 12, {"a": 1}))
    assert sums(opened()) == sums(elsewhere) == {"a": 112.5, "b": 1}


def test_a_batch_that_two_processes_bring_counts_once(
    opened: Callable[[], FallbackStore], redis: Going, tmp_path: Path, now: Time
) -> None:
    home = SqliteStore(tmp_path / "home.sqlite", now)
    redis.stop()
    opened().hash_add("sums", Batch("one", 1, {"a": 1}))
    waiting = home.hash_get("fallback:batches:sums")
    redis.start()
    OUTAGE.is_known = False
    assert sums(opened()) == {"a": 1}
    assert home.hash_get("fallback:batches:sums") == {}
    home.hash_set("fallback:batches:sums", waiting)  # as one sees it that read it before and was slow
    assert sums(opened()) == {"a": 1}
    home.close()


def test_a_batch_whose_answer_was_lost_counts_once(
    opened: Callable[[], FallbackStore], store: FallbackStore, redis: Going, now: Time
) -> None:
    store.hash_add("sums", Batch("one", 1, {"a": 1}))
    admin = RedisStore(redis.url, now)._redis
    admin.execute_command("CLIENT", "PAUSE", "1500", "WRITE")
    store.hash_add("sums", Batch("one", 2, {"a": 1}))
    assert store.degraded
    now.ahead += FIRST_PAUSE_SECONDS
    assert wait_until(lambda: sums(opened()) == {"a": 2})
    store.hash_add("sums", Batch("one", 3, {"a": 1}))
    assert sums(RedisStore(redis.url, now)) == {"a": 3}
