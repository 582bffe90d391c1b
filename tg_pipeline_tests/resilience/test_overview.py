"""What is read of breakers and budgets is what the gate goes by, and reading changes nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import CircuitOpen, FloodWaitError, NetworkError
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import BreakerPolicy, CallPolicy, RatePolicy
from tg_pipeline.resilience.gate import Gate
from tg_pipeline.resilience.overview import BreakerView, BudgetView, Overview, overview
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline_tests.resilience.test_gate import HISTORY, POLICY, Clock, call, fail

QUICK = CallPolicy(breaker=BreakerPolicy(failures=1, open_seconds=5), rate=RatePolicy("fixed", start_per_second=1_000))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.sqlite", clock.now)) as opened:
        yield opened


def gate(store: SqliteStore, clock: Clock, policy: CallPolicy = POLICY, name: str = "telegram") -> Gate:
    account = "500000001" if name == "telegram" else name
    return Gate(store, account, policy=policy, clock=clock, meter=CallMeter(), component=name)


NEVER_FAILED = BreakerView("telegram", "closed", None, None)


def test_an_empty_store_knows_of_nothing_bad(store: SqliteStore) -> None:
    assert overview(store, POLICY) == Overview(1_000.0, (NEVER_FAILED,), ())


async def test_floods_and_rates_are_shown_by_account_and_method(store: SqliteStore, clock: Clock) -> None:
    await call(gate(store, clock), method="contacts.resolveUsername")
    await fail(gate(store, clock), FloodWaitError(100, HISTORY, "premium"))
    clock.time += 40
    history = BudgetView("500000001", HISTORY, 2.0, 1_100.0, "premium")
    assert overview(store, POLICY) == Overview(
        1_040.0,
        (NEVER_FAILED,),
        (BudgetView("500000001", "contacts.resolveUsername", 0.1), history),
    )
    clock.time += 60
    assert overview(store, POLICY).budgets[1] == BudgetView("500000001", HISTORY, 2.0)


async def test_a_breaker_is_followed_through_its_states(store: SqliteStore, clock: Clock) -> None:
    for _ in range(3):
        await fail(gate(store, clock), NetworkError("x"))
    assert overview(store, POLICY).breakers == (BreakerView("telegram", "open", 1_000.0, 1_060.0),)
    with pytest.raises(CircuitOpen):
        await call(gate(store, clock))
    clock.time += 70
    half = (BreakerView("telegram", "half_open", 1_060.0, None),)
    assert overview(store, POLICY).breakers == half, "a call may try, though none came"
    async with gate(store, clock).passage(HISTORY):
        assert overview(store, POLICY).breakers == (BreakerView("telegram", "half_open", 1_070.0, None),)
    assert overview(store, POLICY).breakers == (BreakerView("telegram", "closed", 1_070.0, None),)


async def test_components_of_a_policy_of_their_own_are_read_by_it(store: SqliteStore, clock: Clock) -> None:
    await fail(gate(store, clock, QUICK, "redis"), NetworkError("x"))
    seen = overview(store, POLICY, {"redis": QUICK})
    assert seen.breakers == (BreakerView("redis", "open", 1_000.0, 1_005.0), NEVER_FAILED)
    assert seen.budgets == (BudgetView("redis", HISTORY, 1_000.0),)
