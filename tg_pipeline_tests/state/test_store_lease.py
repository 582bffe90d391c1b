"""A lease among machines: kept alive while it is held, free afterwards, and noticed when it is lost."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import LeaseUnavailable
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.state import store_lease as module
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.state.store_lease import store_lease


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.sqlite", time.time)) as opened:
        yield opened


def held(store: SqliteStore, holder: str, wait_seconds: float = 0) -> AbstractAsyncContextManager[None]:
    return store_lease(store, "session:x", holder, what="The session", wait_seconds=wait_seconds, clock=SystemClock())


async def test_another_machine_waits_and_then_gives_up(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    async with held(store, "one"):
        with pytest.raises(
            LeaseUnavailable, match=r"The session is in use on another machine; waited 0\.1 s"
        ) as refused:
            async with held(store, "two", 0.1):
                pass
    assert refused.value.holder == module.ANOTHER_MACHINE
    assert "waiting up to 0.1 s" in caplog.text
    async with held(store, "two"):
        pass


async def test_the_same_machine_succeeds_a_process_that_was_killed(store: SqliteStore) -> None:
    assert store.acquire("session:x", "one", ttl_seconds=60)
    async with held(store, "one"):
        pass
    assert store.acquire("session:x", "two", ttl_seconds=60)


async def test_it_is_kept_alive_and_taken_anew_when_the_store_forgot_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TTL_SECONDS", 0.2)
    async with held(store, "one"):
        for _ in range(2):
            await asyncio.sleep(0.4)
            assert store.acquire("session:x", "two", ttl_seconds=1) is None
            store._run(lambda db: db.execute("DELETE FROM leases"))


async def test_one_that_another_took_ends_the_work(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TTL_SECONDS", 0.2)

    async def work() -> None:
        async with held(store, "one"):
            store._run(lambda db: db.execute("UPDATE leases SET holder = 'two', expires = expires + 60"))
            await asyncio.sleep(5)

    with pytest.raises(LeaseUnavailable, match="taken over by another machine"):
        await work()
