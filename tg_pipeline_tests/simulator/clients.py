"""Telethon clients as the tests use them: nothing retried, nothing slept off, nothing reconnected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from telethon import TelegramClient
from telethon.sessions import StringSession
from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator import Simulator

STRICT = {
    "flood_sleep_threshold": 0,
    "request_retries": 0,
    "connection_retries": 0,
    "retry_delay": 0,
    "auto_reconnect": False,
    "raise_last_call_error": True,
    "receive_updates": False,
}


def make_client(sim: Simulator, session: str | None = None, **options: Any) -> Any:
    """A client that is not connected yet; `session` is `sim.session` if left out."""
    # Telethon keeps the addresses of the data centres on the class, across servers.
    TelegramClient._config = None
    return TelegramClient(StringSession(session or sim.session), sim.api_id, sim.api_hash, **(STRICT | options))


@asynccontextmanager
async def connected(sim: Simulator, session: str | None = None, **options: Any) -> AsyncIterator[Any]:
    """A connected client, logged in with `session`."""
    client = make_client(sim, session, **options)
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


def history(peer: tl.TypeInputPeer, **fields: Any) -> functions.messages.GetHistoryRequest:
    """A getHistory request for the newest page, but for `fields`."""
    usual = {
        "offset_id": 0,
        "offset_date": None,
        "add_offset": 0,
        "limit": 100,
        "max_id": 0,
        "min_id": 0,
        "hash": 0,
    }
    return functions.messages.GetHistoryRequest(peer, **(usual | fields))


def methods(sim: Simulator) -> list[str]:
    """The methods that the server has seen, in order."""
    return [entry["method"] for entry in sim.journal]
