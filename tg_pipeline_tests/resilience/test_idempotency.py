"""A thing is done once, whoever asks and whoever dies."""

from pathlib import Path

import pytest

from tg_pipeline.contracts.state import Change
from tg_pipeline.resilience.idempotency import Claim, Done, IdempotencyGuard, UnderWay
from tg_pipeline.state.sqlite_store import SqliteStore


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(tmp_path: Path, time: Time) -> SqliteStore:
    return SqliteStore(tmp_path / "state.sqlite", time)


@pytest.fixture
def guard(store: SqliteStore) -> IdempotencyGuard:
    return IdempotencyGuard(store, ttl_seconds=1_800, claim_seconds=60)


def claimed(guard: IdempotencyGuard) -> Claim:
    claim = guard.claim("a")
    assert isinstance(claim, Claim)
    return claim


def test_the_first_does_it_and_later_ones_get_the_result(guard: IdempotencyGuard, time: Time) -> None:
    claim = claimed(guard)
    time.now += 10
    assert guard.claim("a") == UnderWay(50)
    assert guard.complete(claim, {"days": 3})
    assert guard.claim("a") == Done({"days": 3})
    assert isinstance(guard.claim("b"), Claim)


def test_a_result_is_forgotten_after_its_time(guard: IdempotencyGuard, time: Time) -> None:
    assert guard.complete(claimed(guard), None)
    time.now += 1_799
    assert guard.claim("a") == Done(None)
    time.now += 2
    assert isinstance(guard.claim("a"), Claim)


def test_what_failed_may_be_claimed_at_once_by_a_larger_token(guard: IdempotencyGuard) -> None:
    first = claimed(guard)
    assert guard.fail(first)
    second = claimed(guard)
    assert second.token > first.token
    assert not guard.complete(first, "late")
    assert not guard.fail(first)
    assert guard.complete(second, "done")
    assert guard.claim("a") == Done("done")


def test_the_claim_of_one_that_died_runs_out(guard: IdempotencyGuard, time: Time) -> None:
    dead = claimed(guard)
    time.now += 61
    alive = claimed(guard)
    assert alive.token > dead.token
    assert not guard.extend(dead)
    assert not guard.complete(dead, "from the grave")
    assert guard.complete(alive, "done")
    assert guard.claim("a") == Done("done")


def test_a_claim_can_be_kept(guard: IdempotencyGuard, time: Time) -> None:
    claim = claimed(guard)
    for _ in range(5):
        time.now += 50
        assert guard.extend(claim)
    assert guard.claim("a") == UnderWay(60)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"token": "x", "until": []}', b"\xff"])
def test_a_damaged_record_is_none(guard: IdempotencyGuard, store: SqliteStore, value: bytes) -> None:
    assert store.compare_and_set({"once:a": Change(None, value)}).done
    assert isinstance(guard.claim("a"), Claim)
