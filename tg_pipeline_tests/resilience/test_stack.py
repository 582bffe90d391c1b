"""The one stack around every call: retries, deadlines and floods, on a clock that only the tests move."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tg_pipeline.contracts.errors import (
    ChatPrivate,
    CircuitOpen,
    DeadlineExceeded,
    FloodWaitError,
    NetworkError,
    ServerError,
)
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import BreakerPolicy, CallPolicy, RatePolicy
from tg_pipeline.resilience.gate import FLOOD_JITTER_SECONDS, Gate
from tg_pipeline.resilience.stack import resilient
from tg_pipeline.state.sqlite_store import SqliteStore

POLICY = CallPolicy(
    deadline_seconds=30,
    max_attempts=5,
    max_elapsed_seconds=120,
    backoff_base_seconds=0.5,
    backoff_max_seconds=10,
    flood_wait_max_seconds=300,
    breaker=BreakerPolicy(failures=1_000),
    rate=RatePolicy("fixed", start_per_second=1_000, burst=1_000),
)
HISTORY = "messages.getHistory"


class Clock:
    """Time that passes when somebody sleeps, or when the test says so."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    steady = now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Call:
    """Fails with the given errors, one a time, each after `lasting` seconds, then answers."""

    def __init__(self, clock: Clock, *errors: BaseException, lasting: float = 0.0) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.lasting = lasting
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        self.clock.time += self.lasting
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter() -> CallMeter:
    return CallMeter()


Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(clock: Clock, meter: CallMeter, tmp_path: Path) -> Iterator[Run]:
    store = SqliteStore(tmp_path / "state.sqlite", clock.now)

    async def run(call: Callable[[], Awaitable[Any]], policy: CallPolicy = POLICY, on: Clock = clock) -> Any:
        gate = Gate(store, "1", policy=policy, clock=on, meter=meter)
        return await resilient(call, method=HISTORY, policy=policy, gate=gate, clock=on, meter=meter)

    with closing(store):
        yield run


async def test_what_succeeds_is_made_once(run: Run, clock: Clock, meter: CallMeter) -> None:
    call = Call(clock)
    assert await run(call) == "answer"
    assert (call.made, clock.slept, meter.total_retries) == (1, [], 0)


async def test_retryable_failures_are_made_up_for_and_counted(run: Run, clock: Clock, meter: CallMeter) -> None:
    call = Call(clock, NetworkError("a"), ServerError("b"), NetworkError("c"))
    assert await run(call) == "answer"
    assert call.made == 4
    assert meter.retries == {"NetworkError": 2, "ServerError": 1}


async def test_pauses_grow_with_full_jitter_up_to_their_bound(run: Run, clock: Clock) -> None:
    for _ in range(200):
        await run(Call(clock, *[NetworkError("x")] * 8), replace(POLICY, max_attempts=9, max_elapsed_seconds=9_999))
    for attempt in range(8):
        pauses = clock.slept[attempt::8]
        bound = min(10, 0.5 * 2**attempt)
        assert 0 <= min(pauses) < bound / 4
        assert bound * 3 / 4 < max(pauses) <= bound


async def test_decorrelated_pauses_go_by_the_one_before(run: Run, clock: Clock) -> None:
    policy = replace(POLICY, max_attempts=9, max_elapsed_seconds=9_999, backoff="decorrelated")
    for _ in range(100):
        await run(Call(clock, *[NetworkError("x")] * 8), policy)
    before = 0.5
    for number, pause in enumerate(clock.slept):
        before = before if number % 8 else 0.5
        assert 0.5 <= pause <= min(10, 3 * before)
        before = pause
    assert max(clock.slept) == 10


async def test_an_open_breaker_is_not_tried_again(run: Run, clock: Clock) -> None:
    call = Call(clock, *[NetworkError("x")] * 9)
    policy = replace(POLICY, breaker=BreakerPolicy(failures=3, open_seconds=60))
    with pytest.raises(CircuitOpen) as caught:
        await run(call, policy)
    assert (call.made, caught.value.component, len(clock.slept)) == (3, "telegram", 3)
    assert 40 < caught.value.seconds <= 60


async def test_what_happens_is_measured(run: Run, clock: Clock) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    retries = value("retries_total", target=HISTORY, reason="NetworkError")
    hits = value("rate_limit_hits_total", source=HISTORY, reason="flood")
    asked, slept = value("floodwait_asked_seconds_total"), value("floodwait_slept_seconds_total")
    opened = value("breaker_open_total", component="telegram")
    await run(Call(clock, NetworkError("x"), FloodWaitError(40, HISTORY)))
    assert value("retries_total", target=HISTORY, reason="NetworkError") == retries + 1
    assert value("last_retry_delay_seconds", target=HISTORY) == clock.slept[0]
    assert value("rate_limit_hits_total", source=HISTORY, reason="flood") == hits + 1
    assert value("floodwait_asked_seconds_total") - asked == pytest.approx(40)
    assert value("floodwait_slept_seconds_total") - slept == pytest.approx(sum(clock.slept[1:]))
    with pytest.raises(CircuitOpen):
        await run(Call(clock, *[NetworkError("x")] * 9), replace(POLICY, breaker=BreakerPolicy(failures=3)))
    assert value("breaker_open_total", component="telegram") == opened + 1


async def test_the_last_error_is_raised_when_the_attempts_are_used_up(run: Run, clock: Clock) -> None:
    errors = [NetworkError(str(n)) for n in range(9)]
    call = Call(clock, *errors)
    with pytest.raises(NetworkError, match="4"):
        await run(call)
    assert call.made == 5


async def test_the_last_error_is_raised_when_the_time_is_used_up(run: Run, clock: Clock) -> None:
    call = Call(clock, *[DeadlineExceeded("slow")] * 9, lasting=50)
    with pytest.raises(DeadlineExceeded):
        await run(call)
    assert call.made == 3


@pytest.mark.parametrize("error", [ChatPrivate("private"), ValueError("a bug"), KeyboardInterrupt()])
async def test_anything_else_is_raised_at_once(run: Run, clock: Clock, error: BaseException) -> None:
    call = Call(clock, error)
    with pytest.raises(type(error)):
        await run(call)
    assert (call.made, clock.slept) == (1, [])


async def test_a_flood_is_slept_with_a_countdown_and_some_jitter(
    run: Run, clock: Clock, meter: CallMeter, caplog: pytest.LogCaptureFixture
) -> None:
    call = Call(clock, FloodWaitError(70, "messages.getHistory"))
    assert await run(call) == "answer"
    assert 70 <= sum(clock.slept) <= 70 + FLOOD_JITTER_SECONDS
    assert max(clock.slept) <= 30
    assert meter.waited_seconds == pytest.approx(sum(clock.slept))
    assert meter.total_retries == 0
    assert len(caplog.records) == 3
    assert all("messages.getHistory (flood wait)" in record.getMessage() for record in caplog.records)
    assert meter.asked_seconds == 70
    assert meter.floods == {HISTORY: 1}


async def test_floods_use_up_neither_attempts_nor_time(run: Run, clock: Clock) -> None:
    floods = [FloodWaitError(250, "messages.getHistory") for _ in range(6)]
    call = Call(clock, *floods, *[NetworkError("x")] * 4)
    assert await run(call) == "answer"
    assert call.made == 11


async def test_a_flood_that_is_too_long_is_handed_up(run: Run, clock: Clock) -> None:
    call = Call(clock, FloodWaitError(301, "messages.getHistory", "premium"))
    with pytest.raises(FloodWaitError) as flood:
        await run(call)
    assert (flood.value.seconds, flood.value.reason) == (301, "premium")
    assert clock.slept == []


async def test_a_call_that_gives_no_answer_meets_its_deadline(run: Run, meter: CallMeter) -> None:
    async def silence() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded, match=r"No answer to messages\.getHistory within 0\.01 s"):
        await run(silence, replace(POLICY, deadline_seconds=0.01, max_attempts=2))
    assert meter.retries == {"DeadlineExceeded": 1}


async def test_a_cancellation_ends_it_in_a_call_and_in_a_pause(run: Run, clock: Clock) -> None:
    async def silence() -> None:
        await asyncio.Event().wait()

    class Forever(Clock):
        async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - as its base
            await asyncio.Event().wait()

    for call in (silence, Call(clock, NetworkError("x"), FloodWaitError(9, "m"))):
        task = asyncio.ensure_future(run(call, POLICY, Forever()))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
