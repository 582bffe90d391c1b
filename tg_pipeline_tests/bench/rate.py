"""Group `rate`: a server that answers FLOOD_WAIT from a bucket nobody can see, and what three clients make of it.

Client and server talk MTProto over TCP in one loop of virtual time: the code is the one that waits for real.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from telethon import TelegramClient, requestiter, utils
from telethon.client import messages, users
from telethon.sessions import StringSession
from telethon.tl import types as tl
from telethon.tl.functions.contacts import ResolveUsernameRequest
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.contracts.policy import CallPolicy
from tg_pipeline.simulator.faults import Faults, FaultScript, FloodBucket, Verdict
from tg_pipeline.simulator.server import Server
from tg_pipeline.simulator.telegram import Options
from tg_pipeline.simulator.world import World
from tg_pipeline.simulator.worlds.ids import Gaps
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.telegram.connection import connected
from tg_pipeline.telegram.wire import Api
from tg_pipeline_tests.bench.local_telegram import FIRST_DAY
from tg_pipeline_tests.bench.rate_plot import plot
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table
from tg_pipeline_tests.bench.virtual_time import VirtualClock, run

HISTORY = "messages.getHistory"
CHAT = "bench"
PAGE = 2  # calls are what is counted; pages of 100 would cost ten minutes of packing and unpacking
PAGES_A_DAY = 50
LATENCY_SECONDS = 0.05
IN_FLIGHT = 2
RATES = (0.3, 2.0, 20.0)
BURST = 10
WAIT_SECONDS = 10
LEAST_USE = 0.9
MOST_FLOODS_PERCENT = 1
OURS = "tg-pipeline"
ME = tl.User(id=500_000_001, is_self=True, access_hash=1, first_name="Bench")


@dataclass
class Traffic(Faults):
    """The simulator's faults, and when which history call was let through or refused."""

    passed: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def judge(self, method: str, params: dict[str, Any], chat: str | None, dc_id: int) -> Verdict:
        """As Faults."""
        verdict = super().judge(method, params, chat, dc_id)
        if method == HISTORY:
            (self.refused if verdict.rule else self.passed).append(self.monotonic())
        return verdict


Reader = Callable[[Server, int], Awaitable[None]]


def measure(*, quick: bool) -> Group:
    """Run the group. An aim that `quick` sizes say nothing about is left out."""
    log = logging.getLogger("tg_pipeline")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        return _measure(quick=quick)
    finally:
        log.setLevel(before)


def _measure(*, quick: bool) -> Group:
    pages = 50 if quick else 2_000
    world = _world(pages)
    rows: list[Row] = []
    aims: list[Aim] = []
    seen: dict[float, dict[str, Traffic]] = {}
    for rate in RATES[1:] if quick else RATES:
        seen[rate] = {name: run(_traffic(reader, world, rate, pages)) for name, reader in READERS.items()}
        for name, traffic in seen[rate].items():
            calls, floods = len(traffic.passed) + len(traffic.refused), len(traffic.refused)
            use, percent = _use(traffic, rate, pages), floods / calls * 100
            rows.append(
                {
                    "allowed calls/s": rate,
                    "reader": name,
                    "calls": calls,
                    "floods": floods,
                    "floods %": percent,
                    "virtual seconds": round(traffic.passed[-1]),
                    "used of allowed": use,
                }
            )
            if name == OURS and not quick:
                aims += [
                    Aim(f"{rate:g} calls/s: at least {LEAST_USE} of what is allowed", use, met=use >= LEAST_USE),
                    Aim(
                        f"{rate:g} calls/s: floods % under {MOST_FLOODS_PERCENT}",
                        percent,
                        met=percent < MOST_FLOODS_PERCENT,
                    ),
                ]
    note = (
        f"{pages:,} pages of {PAGE}, each after {LATENCY_SECONDS * 1000:.0f} ms. Allowed are {BURST} calls at once, "
        f"then so many a second; one too many starts a wait of {WAIT_SECONDS} s. Used: over the last half of the pages."
    )
    return Group([Table("rate", note, rows)], aims, {"rate.png": plot(seen)})


def _use(traffic: Traffic, rate: float, pages: int) -> float:
    """Calls a second of what the server allows, over the pages after the warm-up, which is the first half of them."""
    warm_up = pages // 2
    return (pages - warm_up) / (traffic.passed[pages - 1] - traffic.passed[warm_up - 1]) / rate


def _world(pages: int) -> World:
    """One chat of that many pages, no ids missing."""
    chat = synthetic_chat(
        CHAT,
        per_day=PAGE * PAGES_A_DAY,
        first_day=FIRST_DAY,
        last_day=FIRST_DAY + timedelta(days=pages // PAGES_A_DAY - 1),
        gaps=Gaps(47, 0),
    )
    return World({utils.get_peer_id(chat.peer): chat}, ME)


async def _traffic(reader: Reader, world: World, rate: float, pages: int) -> Traffic:
    """What the server saw of a reader that reads so many pages."""
    time = asyncio.get_running_loop().time
    server = Server(world, Options(latency=LATENCY_SECONDS, monotonic=time))
    traffic = Traffic(time)
    traffic.load(FaultScript(rules=[FloodBucket(method=HISTORY, rate=rate, burst=BURST, wait_seconds=WAIT_SECONDS)]))
    server.faults = traffic
    await server.start()
    try:
        await reader(server, pages)
    finally:
        await server.stop()
    return traffic


async def ours(server: Server, pages: int) -> None:
    """Our connection with its whole stack, its state in a new SQLite file."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as home:
        store = SqliteStore(Path(home, "state.sqlite"), loop.time)
        api = Api(server.api_id, server.api_hash)
        async with connected(server.session, api, CallPolicy(), store, "1", VirtualClock(loop)) as connection:
            found = await connection.call(ResolveUsernameRequest(CHAT))
            await _read(connection.call, utils.get_input_peer(found.chats[0]), pages, IN_FLIGHT)
        store.close()


async def telethon_defaults(server: Server, pages: int) -> None:
    """`iter_messages` as it comes: a second between pages, floods of up to a minute are slept."""
    async with _client(server) as client:
        read = 0
        async for _ in client.iter_messages(CHAT):
            read += 1
            if read == pages * PAGE:
                break


async def no_waiting(server: Server, pages: int) -> None:
    """A loop that asks for the next page at once, and sleeps when it is told to.

    One page at a time: two such loops come back together and lengthen each other's wait without end.
    """
    async with _client(server, flood_sleep_threshold=86_400) as client:
        await _read(client, await client.get_input_entity(CHAT), pages, 1)


READERS: dict[str, Reader] = {
    OURS: ours,
    "Telethon's iter_messages": telethon_defaults,
    "no waiting": no_waiting,
}


@asynccontextmanager
async def _client(server: Server, **options: Any) -> AsyncIterator[TelegramClient]:
    """A client of Telethon's whose own look at the clock is virtual, too, where it decides how long to sleep."""
    time = SimpleNamespace(time=asyncio.get_running_loop().time)
    client = TelegramClient(
        StringSession(server.session), server.api_id, server.api_hash, receive_updates=False, **options
    )
    with (
        patch.object(requestiter, "time", time),
        patch.object(users, "time", time),
        patch.object(messages, "_MAX_CHUNK_SIZE", PAGE),
    ):
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()


async def _read(call: Callable[[GetHistoryRequest], Awaitable[Any]], peer: Any, pages: int, in_flight: int) -> None:
    """Read every page of the chat, so many at once."""
    numbers = iter(range(pages))

    async def work() -> None:
        for number in numbers:
            page = await call(_request(peer, number))
            if len(page.messages) != PAGE:
                raise RuntimeError(f"page {number} has {len(page.messages)} messages")

    await asyncio.gather(*(work() for _ in range(in_flight)))


def _request(peer: Any, number: int) -> GetHistoryRequest:
    return GetHistoryRequest(
        peer=peer,
        offset_id=number * PAGE + 1,
        offset_date=None,
        add_offset=-PAGE,
        limit=PAGE,
        max_id=0,
        min_id=0,
        hash=0,
    )
