"""The wire: transports, keys, salts, clocks, and the right of a session to one connection."""

import asyncio
import struct

import pytest
from telethon import errors, functions
from telethon.errors import AuthKeyDuplicatedError, AuthKeyNotFound
from telethon.network import (
    Connection,
    ConnectionTcpAbridged,
    ConnectionTcpFull,
    ConnectionTcpIntermediate,
)
from telethon.tl import types as tl

from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.framing import Full
from tg_pipeline.simulator.service import SERVICE
from tg_pipeline_tests.simulator.clients import connected, history, make_client, methods


@pytest.mark.parametrize("transport", [ConnectionTcpFull, ConnectionTcpAbridged, ConnectionTcpIntermediate])
async def test_every_transport_carries_small_and_large_packets(sim: Simulator, transport: type[Connection]) -> None:
    async with connected(sim, connection=transport) as client:
        peer = await client.get_input_entity("alpha")
        page = await client(history(peer))
        assert [message.id for message in page.messages] == list(range(250, 150, -1))
        assert (await client.get_me()).username == "me_myself"


async def test_connecting_costs_four_requests(sim: Simulator) -> None:
    async with connected(sim):
        assert methods(sim) == ["help.getConfig", "users.getUsers", "updates.getState", "updates.getDifference"]


async def test_requests_sent_together_are_all_answered(sim: Simulator) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        pages = await client([history(peer, offset_id=start) for start in range(2, 102)])
        assert [page.messages[0].id for page in pages] == list(range(1, 101))


async def test_a_large_request_arrives_compressed_and_is_understood(sim: Simulator) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        messages = await client.get_messages(peer, ids=list(range(1, 101)))
        assert [message.id for message in messages] == list(range(1, 101))


async def test_service_messages_are_answered_and_not_journaled(sim: Simulator) -> None:
    async with connected(sim) as client:
        pong = await client._sender.send(functions.PingRequest(77))
        assert pong.ping_id == 77
        assert await client._sender.send(functions.DestroySessionRequest(5)) == tl.DestroySessionNone(5)
        assert len(methods(sim)) == 4


@pytest.mark.parametrize(("offset", "seconds"), [(-4000, 0), (4000, 0)])
async def test_a_client_with_a_wrong_clock_is_corrected(sim: Simulator, offset: int, seconds: int) -> None:
    client = make_client(sim)
    client._sender._state.time_offset = offset
    await client.connect()
    assert abs(client._sender._state.time_offset - seconds) <= 1
    assert await client.is_user_authorized()
    await client.disconnect()


async def test_a_key_that_the_server_does_not_know_is_refused(sim: Simulator, world: World) -> None:
    with Simulator(world, seed=1) as other:
        foreign = make_client(other).session
    client = make_client(sim)
    client.session.auth_key = foreign.auth_key
    client._sender.auth_key.key = foreign.auth_key.key
    with pytest.raises(AuthKeyNotFound):
        await client.connect()
    with pytest.raises(AuthKeyNotFound):
        await client.disconnected


async def test_a_key_of_another_data_centre_is_refused(sim: Simulator) -> None:
    client = make_client(sim)
    client.session.set_dc(4, sim.host, sim.server.ports[4])
    with pytest.raises(AuthKeyNotFound):
        await client.connect()
    with pytest.raises(AuthKeyNotFound):
        await client.disconnected


async def test_a_packet_that_its_key_does_not_open_is_refused(sim: Simulator) -> None:
    key_id = make_client(sim).session.auth_key.key_id
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    writer.write(Full().frame(struct.pack("<Q", key_id) + bytes(80)))
    assert Full().split(bytearray(await reader.readexactly(16))) == struct.pack("<i", -404)
    writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack("<ii", 5, 0) + bytes(8),
        struct.pack("<ii", 20, 0) + bytes(12),
        struct.pack("<ii", 32, 0) + bytes(24),
        b"\xee\xee\xee\xee" + struct.pack("<i", 20) + bytes(20),
    ],
)
async def test_garbage_ends_the_connection_and_only_that(sim: Simulator, garbage: bytes) -> None:
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    writer.write(garbage)
    assert await reader.read() == b""
    writer.close()
    async with connected(sim) as client:
        assert await client.is_user_authorized()


async def test_an_unknown_method_fails_loudly(sim: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(sim) as client:
        with pytest.raises(errors.BadRequestError, match="METHOD_NOT_SIMULATED"):
            await client(functions.messages.GetAllDraftsRequest())
    assert sim.journal[-1]["method"] == "messages.getAllDrafts"
    assert sim.journal[-1]["error"] == "METHOD_NOT_SIMULATED"
    assert "messages.getAllDrafts is not simulated" in caplog.text


class _Unheard(functions.PingRequest):
    """A request of some layer to come."""

    def _bytes(self) -> bytes:
        return struct.pack("<Iq", 0x11223344, 1)


def test_states_of_messages_are_always_received() -> None:
    assert SERVICE[tl.MsgsStateReq](7, tl.MsgsStateReq([1, 2])) == tl.MsgsStateInfo(7, "\4\4")
    assert SERVICE[tl.MsgsAck](7, tl.MsgsAck([1, 2])) is None


async def test_a_mistake_of_the_simulator_reaches_the_client(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sim.world, "chats", None)
    async with connected(sim) as client:
        with pytest.raises(errors.ServerError, match="SIMULATOR_FAILED"):
            await client._sender.send(functions.messages.GetDialogsRequest(None, 0, tl.InputPeerEmpty(), 1, 0))
    assert "messages.getDialogs failed" in caplog.text


async def test_an_unknown_constructor_fails_loudly(sim: Simulator) -> None:
    async with connected(sim) as client:
        with pytest.raises(errors.BadRequestError, match="INPUT_METHOD_INVALID"):
            await client(_Unheard(1))
    assert sim.journal[-1]["method"] == "#11223344"


async def test_a_session_on_two_connections_is_dead_for_good(sim: Simulator) -> None:
    first = make_client(sim)
    await first.connect()
    second = make_client(sim)
    with pytest.raises(AuthKeyDuplicatedError):
        await second.connect()
    assert sim.journal[-2]["method"] == "!auth_key_duplicated"
    assert sim.journal[-2]["params"] == {"connections": [1, 2]}
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await first(functions.updates.GetStateRequest())
    await second.disconnect()
    await first.disconnect()
    async with connected(sim) as third:
        assert not await third.is_user_authorized()


async def test_a_session_used_again_after_its_connection_closed_is_not_duplicated(sim: Simulator) -> None:
    for _ in range(20):
        async with connected(sim) as client:
            assert await client.is_user_authorized()
    assert "!auth_key_duplicated" not in methods(sim)


async def test_two_sessions_of_the_account_work_at_once(sim: Simulator) -> None:
    async with connected(sim) as first, connected(sim, sim.new_session()) as second:
        assert await first.is_user_authorized()
        assert await second.is_user_authorized()


async def test_duplicates_can_be_allowed(world: World) -> None:
    with Simulator(world, forbid_duplicates=False) as sim:
        async with connected(sim) as first, connected(sim) as second:
            assert await first.is_user_authorized()
            assert await second.is_user_authorized()


async def test_latency_delays_answers_without_queueing_them(world: World) -> None:
    with Simulator(world, latency=0.1) as sim:
        async with connected(sim) as client:
            peer = await client.get_input_entity("alpha")
            loop = asyncio.get_running_loop()
            start = loop.time()
            await asyncio.gather(*(client(history(peer)) for _ in range(10)))
            assert 0.1 <= loop.time() - start < 0.5
