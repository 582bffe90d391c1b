"""What the stack around a call costs: a call that does nothing, made through all of it, over each state store."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import CallPolicy, RatePolicy
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.resilience.gate import Gate
from tg_pipeline.resilience.stack import resilient
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table

CALLS = 2_000
ROUNDS = 5
POLICY = CallPolicy(rate=RatePolicy("adaptive", start_per_second=100_000, ceiling_per_second=100_000, burst=10_000))


def measure(*, quick: bool) -> Group:
    """Milliseconds a call over SQLite and over Redis, and the round trip of that Redis; the median of five rounds."""
    calls = 20 if quick else CALLS
    with tempfile.TemporaryDirectory() as directory, local_redis(Path(directory)) as url:
        sqlite = SqliteStore(Path(directory, "state.sqlite"), time.time)
        redis = RedisStore(url, time.time)
        ours = {"SQLite": _median(lambda: _through(sqlite, calls)), "Redis": _median(lambda: _through(redis, calls))}
        round_trip = _median(lambda: _reads(redis, calls))
        sqlite.close()
        redis.close()
    rows: list[Row] = [{"state": name, "ms a call": found} for name, found in ours.items()]
    rows.append({"state": "one read of Redis", "ms a call": round_trip})
    note = f"a call that answers at once, {calls:,} times in each of {ROUNDS} rounds; the median round"
    return Group(
        [Table("overhead of the stack", note, rows)],
        [
            Aim("whole stack over SQLite: under 1 ms a call", ours["SQLite"], ours["SQLite"] < 1),
            Aim("over Redis: under 1 ms and one round trip", ours["Redis"], ours["Redis"] < 1 + round_trip),
        ],
    )


def _median(one: Callable[[], float]) -> float:
    return median(one() for _ in range(ROUNDS))


def _through(store: StateStore, calls: int) -> float:
    async def nothing() -> None:
        return

    async def all_calls() -> None:
        clock, meter = SystemClock(), CallMeter()
        gate = Gate(store, "1", policy=POLICY, clock=clock, meter=meter)
        for _ in range(calls):
            await resilient(nothing, method="m", policy=POLICY, gate=gate, clock=clock, meter=meter)

    began = time.perf_counter()
    asyncio.run(all_calls())
    return (time.perf_counter() - began) / calls * 1_000


def _reads(store: StateStore, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        store.read("nothing")
    return (time.perf_counter() - began) / calls * 1_000
