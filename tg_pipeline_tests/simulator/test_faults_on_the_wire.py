"""What the real client sees of each kind of fault."""

import asyncio
import logging
from typing import Any

import pytest
from telethon import errors
from telethon.errors import InvalidBufferError
from telethon.network import ConnectionTcpAbridged

from tg_pipeline.simulator import (
    CorruptFrame,
    Drop,
    Error,
    Latency,
    LostAnswer,
    PageFault,
    Simulator,
    TransportError,
)
from tg_pipeline_tests.simulator.clients import connected, history

HISTORY = "messages.getHistory"


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        ("FLOOD_WAIT_7", errors.FloodWaitError, 420),
        ("FLOOD_PREMIUM_WAIT_7", errors.FloodPremiumWaitError, 420),
        ("TAKEOUT_INIT_DELAY_7", errors.TakeoutInitDelayError, 420),
        ("RPC_CALL_FAIL", errors.RpcCallFailError, 500),
        ("INTERDC_2_CALL_ERROR", errors.InterdcCallErrorError, 500),
        ("AUTH_KEY_UNREGISTERED", errors.AuthKeyUnregisteredError, 401),
        ("SESSION_REVOKED", errors.SessionRevokedError, 401),
        ("USER_DEACTIVATED", errors.UserDeactivatedError, 401),
        ("CHANNEL_PRIVATE", errors.ChannelPrivateError, 400),
        ("FILE_MIGRATE_4", errors.FileMigrateError, 303),
    ],
)
async def test_an_error_arrives_as_telethons_own_class(
    sim: Simulator, error: str, raised: type[errors.RPCError], code: int
) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        sim.faults.add(Error(method=HISTORY, error=error, count=1))
        # Below its `_call`, which sleeps two seconds on errors of the 500 class even when told not to retry.
        with pytest.raises(raised) as caught:
            await client._sender.send(history(peer))
        assert caught.value.code == code
        assert len((await client(history(peer))).messages) == 100
    assert [entry.get("error") for entry in sim.journal[-2:]] == [error, None]


async def test_a_timeout_inside_telegram_arrives_with_its_negative_code(sim: Simulator) -> None:
    sim.faults.add(Error(method=HISTORY, error="Timedout"))
    async with connected(sim) as client:
        with pytest.raises(errors.TimedOutError):
            await client._sender.send(history(await client.get_input_entity("alpha")))


async def test_a_predicate_on_the_chat_strikes_at_that_chat_only(sim: Simulator) -> None:
    sim.faults.add(Error(error="CHANNEL_PRIVATE", code=406, when={"chat": "beta"}))
    async with connected(sim) as client:
        alpha = await client.get_input_entity("alpha")
        assert len((await client(history(alpha))).messages) == 100
        with pytest.raises(errors.ChannelPrivateError):
            await client.get_input_entity("beta")


@pytest.mark.parametrize(
    ("how", "raised"),
    [("fin", asyncio.IncompleteReadError), ("half", asyncio.IncompleteReadError), ("rst", ConnectionError)],
)
async def test_a_dropped_connection_fails_what_was_in_flight(sim: Simulator, how: Any, raised: type) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        sim.faults.add(Drop(method=HISTORY, how=how, count=1))
        with pytest.raises(raised):
            await asyncio.wait_for(client(history(peer)), 5)
    async with connected(sim) as client:
        assert len((await client(history(peer))).messages) == 100
    assert [entry.get("error") for entry in sim.journal if entry["method"] == HISTORY] == ["!drop", None]


async def test_a_lost_answer_never_comes(sim: Simulator) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        sim.faults.add(LostAnswer(method=HISTORY, count=1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client(history(peer)), 0.1)
        assert len((await client(history(peer))).messages) == 100


async def test_a_corrupt_frame_ends_the_connection_of_a_transport_with_checksums(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "telethon")
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        sim.faults.add(CorruptFrame(method=HISTORY, count=1))
        with pytest.raises(errors.InvalidChecksumError):
            await asyncio.wait_for(client(history(peer)), 5)


async def test_a_corrupt_frame_is_ignored_on_a_transport_without(sim: Simulator) -> None:
    async with connected(sim, connection=ConnectionTcpAbridged) as client:
        peer = await client.get_input_entity("alpha")
        sim.faults.add(CorruptFrame(method=HISTORY, count=1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client(history(peer)), 0.1)
        assert len((await client(history(peer))).messages) == 100


@pytest.mark.parametrize(("code", "raised"), [(404, errors.AuthKeyNotFound), (429, InvalidBufferError)])
async def test_a_transport_error_ends_the_connection(sim: Simulator, code: Any, raised: type) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        sim.faults.add(TransportError(method=HISTORY, code=code, count=1))
        with pytest.raises(raised):
            await asyncio.wait_for(client(history(peer)), 5)


async def test_latency_of_one_request_does_not_hold_up_the_next(sim: Simulator) -> None:
    sim.faults.add(Latency(method=HISTORY, ms=200, count=1))
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        slow = asyncio.create_task(client(history(peer)))
        await asyncio.sleep(0)
        await client(history(peer))
        assert not slow.done()
        assert len((await slow).messages) == 100


async def test_pages_are_repeated_reordered_and_cut_short(sim: Simulator) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")

        async def ids(**fields: Any) -> list[int]:
            return [message.id for message in (await client(history(peer, limit=4, **fields))).messages]

        assert await ids(offset_id=5) == [4, 3, 2, 1]
        sim.faults.add(PageFault(how="repeated", count=1))
        assert await ids(offset_id=9) == [4, 3, 2, 1]
        sim.faults.add(PageFault(how="reordered", count=1))
        assert await ids(offset_id=9) == [7, 5, 8, 6]
        sim.faults.add(PageFault(how="short", count=2))
        assert await ids(offset_id=9) == [8, 7]
        assert await ids(offset_id=9, add_offset=-4) == [10, 9]
        assert await ids(offset_id=9) == [8, 7, 6, 5]
