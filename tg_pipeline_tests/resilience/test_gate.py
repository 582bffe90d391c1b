"""What several processes of an account agree on: each has a gate of its own over one store, and one clock."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import ChatPrivate, CircuitOpen, FloodWaitError, NetworkError
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import BreakerPolicy, CallPolicy, RatePolicy
from tg_pipeline.resilience.breaker import parse
from tg_pipeline.resilience.gate import FLOOD_JITTER_SECONDS, PROBE_POLL_SECONDS, Gate
from tg_pipeline.state.sqlite_store import SqliteStore

HISTORY = "messages.getHistory"
POLICY = CallPolicy(
    breaker=BreakerPolicy(failures=3, window_seconds=30, open_seconds=60),
    rate=RatePolicy("fixed", start_per_second=2, burst=5),
    strict_rate=RatePolicy("fixed", start_per_second=0.1, burst=2),
    flood_wait_max_seconds=300,
)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def now(self) -> float:
        return self.time

    steady = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)

    async def reaches(self, time: float) -> None:
        while self.time < time:  # noqa: ASYNC110 - it is the sleepers that move it
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.sqlite", clock.now)) as opened:
        yield opened


GateOf = Callable[..., Gate]


@pytest.fixture
def gate_of(store: SqliteStore, clock: Clock) -> GateOf:
    def make(account: str = "1", policy: CallPolicy = POLICY) -> Gate:
        return Gate(store, account, policy=policy, clock=clock, meter=CallMeter())

    return make


async def call(gate: Gate, error: BaseException | None = None, method: str = HISTORY) -> float:
    """One call that ends so; gives the seconds waited for it."""
    async with gate.passage(method) as waited:
        if error is not None:
            raise error
    return waited


async def fail(gate: Gate, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await call(gate, error)


async def test_processes_draw_on_one_budget(gate_of: GateOf, clock: Clock) -> None:
    gates = [gate_of() for _ in range(4)]
    for number in range(45):
        await call(gates[number % 4])
    assert clock.time == pytest.approx(1_000 + (45 - 5) / 2)


async def test_accounts_and_methods_have_budgets_of_their_own(gate_of: GateOf, clock: Clock) -> None:
    for account in "12":
        for method in (HISTORY, "users.getUsers"):
            for _ in range(5):
                await call(gate_of(account), method=method)
    assert clock.time == 1_000


async def test_looking_up_names_has_a_strict_budget(gate_of: GateOf, clock: Clock) -> None:
    for _ in range(3):
        await call(gate_of(), method="contacts.resolveUsername")
    assert clock.time == pytest.approx(1_010)


async def test_a_flood_seen_by_one_stops_all(gate_of: GateOf, clock: Clock) -> None:
    await fail(gate_of(), FloodWaitError(100, HISTORY))
    waited = await call(gate_of())
    assert 100 <= waited <= 100 + FLOOD_JITTER_SECONDS + 1
    assert await call(gate_of(), method="users.getUsers") == 0


async def test_a_flood_that_is_too_long_to_sleep_is_not_tried_before_its_end(gate_of: GateOf, clock: Clock) -> None:
    await fail(gate_of(), FloodWaitError(1_000, HISTORY, "premium"))
    clock.time += 600
    with pytest.raises(FloodWaitError) as caught:
        await call(gate_of())
    assert (caught.value.seconds, caught.value.reason) == (400, "premium")
    clock.time += 150
    assert await call(gate_of()) >= 250


async def test_failures_of_any_process_open_the_breaker_for_all(gate_of: GateOf, clock: Clock) -> None:
    for _ in range(3):
        await fail(gate_of(), NetworkError("x"))
    with pytest.raises(CircuitOpen, match=r"telegram .* in 60 s"):
        await call(gate_of("2"))
    clock.time += 60
    await call(gate_of("2"))
    await call(gate_of())


async def test_answers_and_floods_are_no_failures(gate_of: GateOf, clock: Clock) -> None:
    gate = gate_of()
    for _ in range(10):
        await fail(gate, NetworkError("x"))
        await fail(gate, NetworkError("x"))
        await fail(gate, ChatPrivate("x"))
        await fail(gate, NetworkError("x"))
        await fail(gate, FloodWaitError(1, HISTORY))
    assert await call(gate) > 0


async def test_while_one_probes_the_others_wait_for_what_it_finds(gate_of: GateOf, clock: Clock) -> None:
    for _ in range(3):
        await fail(gate_of(), NetworkError("x"))
    clock.time += 60
    probe, other = gate_of(), gate_of("2")
    async with probe.passage(HISTORY):
        waiting = asyncio.create_task(call(other))
        await clock.reaches(1_061)
        assert not waiting.done()
    assert await waiting >= PROBE_POLL_SECONDS


async def test_a_probe_that_fails_opens_it_again_for_those_who_waited(gate_of: GateOf, clock: Clock) -> None:
    for _ in range(3):
        await fail(gate_of(), NetworkError("x"))
    clock.time += 60
    probe, other = gate_of(), gate_of("2")
    waiting = None
    with contextlib.suppress(NetworkError):
        async with probe.passage(HISTORY):
            waiting = asyncio.create_task(call(other))
            await clock.reaches(1_061)
            raise NetworkError("y")
    assert waiting is not None
    with pytest.raises(CircuitOpen):
        await waiting


async def test_a_cancelled_probe_gives_its_place_back(gate_of: GateOf, clock: Clock) -> None:
    for _ in range(3):
        await fail(gate_of(), NetworkError("x"))
    clock.time += 60
    await fail(gate_of(), asyncio.CancelledError())
    assert await call(gate_of()) == 0


async def test_a_wait_for_a_token_takes_no_probe(gate_of: GateOf, clock: Clock, store: SqliteStore) -> None:
    for _ in range(3):
        await fail(gate_of(), NetworkError("x"))
    for _ in range(2):
        clock.time += 60
        await call(gate_of(), method="contacts.resolveUsername")
    transitions = [
        to for _, to in parse(store.read("breaker:telegram")["breaker:telegram"], POLICY.breaker, 0).transitions
    ]
    assert transitions == ["open", "half_open", "closed"]


async def test_every_transition_is_a_line_in_the_log(
    gate_of: GateOf, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        await fail(gate_of(), NetworkError("x"))
    clock.time += 60
    await call(gate_of())
    transitions = ["closed to open for 60 s", "open to half-open", "half-open to closed"]
    assert [r.getMessage() for r in caplog.records] == [
        f"The circuit breaker of telegram goes from {transition}." for transition in transitions
    ]
