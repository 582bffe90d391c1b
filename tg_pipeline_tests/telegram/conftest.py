"""A simulated Telegram with two chats, and connections to it that leave nothing behind."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tg_pipeline.contracts.policy import BreakerPolicy, CallPolicy, RatePolicy
from tg_pipeline.simulator import Simulator
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.telegram.connection import Connection
from tg_pipeline.telegram.wire import Api
from tg_pipeline_tests.telegram_account import plain_world

UNPACED = RatePolicy("fixed", start_per_second=100_000, burst=10_000)
POLICY = CallPolicy(
    deadline_seconds=20,
    max_attempts=3,
    backoff_base_seconds=0.001,
    backoff_max_seconds=0.01,
    breaker=BreakerPolicy(failures=1_000),
    rate=UNPACED,
    strict_rate=UNPACED,
)
Connect = Callable[..., Connection]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """One supergroup, `busy`."""
    with Simulator(plain_world(per_day=30, days=10)) as simulator:
        yield simulator


@pytest.fixture
def api(sim: Simulator) -> Api:
    return Api(sim.api_id, sim.api_hash)


@pytest.fixture
async def connect(sim: Simulator, api: Api, tmp_path: Path) -> AsyncIterator[Connect]:
    """Connections, each with a new session; all are closed afterwards, and none may leave a task or a socket."""
    before = asyncio.all_tasks()
    store = SqliteStore(tmp_path / "state.sqlite", time.time)
    async with AsyncExitStack() as closing:
        closing.callback(store.close)

        def make(session: str | None = None, policy: CallPolicy = POLICY, **options: Any) -> Connection:
            connection = Connection(
                session or sim.new_session(), options.pop("api", api), policy, store, "1", **options
            )
            closing.push_async_callback(connection.close)
            return connection

        yield make
    async with asyncio.timeout(5):
        # Telethon's last tasks end by themselves.
        while not asyncio.all_tasks() <= before | {asyncio.current_task()}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    gc.collect(1)  # a socket left open would warn now; the oldest generation is Telethon itself
