"""One send, one answer, one deadline: whatever becomes of the connection, the right error in time and a fresh start."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from telethon.tl import types as tl
from telethon.tl.functions.messages import GetHistoryRequest
from telethon.tl.functions.users import GetUsersRequest

from tg_pipeline.contracts.errors import (
    ApiRejected,
    DeadlineExceeded,
    NetworkError,
    SessionMissing,
    SessionRevoked,
    SettingsError,
)
from tg_pipeline.simulator import CorruptFrame, Drop, Error, Latency, LostAnswer, Simulator, TransportError
from tg_pipeline.simulator.faults import AnyRule
from tg_pipeline.telegram.connection import method_name
from tg_pipeline.telegram.proxy import parse_proxy
from tg_pipeline.telegram.wire import Api, Wire, session_from, trust_server_key
from tg_pipeline_tests.telegram.conftest import POLICY, Connect
from tg_pipeline_tests.telegram.socks_proxy import socks_proxy

ONCE = replace(POLICY, deadline_seconds=1, max_attempts=1)
QUICK = replace(POLICY, deadline_seconds=1)
WHO = "users.getUsers"


def methods(sim: Simulator) -> list[str]:
    return [entry["method"] for entry in sim.journal]


async def test_connecting_costs_one_call_and_tells_the_time_of_the_server(sim: Simulator, connect: Connect) -> None:
    connection = connect()
    now = await connection.server_time()
    assert methods(sim) == ["help.getConfig"]
    assert -30 < now - time.time() <= 0
    await connection.server_time()
    assert methods(sim) == ["help.getConfig"]


async def test_the_first_call_connects_and_further_ones_share_the_connection(sim: Simulator, connect: Connect) -> None:
    connection = connect()
    assert await asyncio.gather(*(connection.own_id() for _ in range(5))) == [500_000_001] * 5
    assert methods(sim) == ["help.getConfig", *[WHO] * 5]
    assert len({entry["connection"] for entry in sim.journal}) == 1
    assert connection.meter.calls == {WHO: 5}
    assert connection.meter.connections == 1


FAULTS = [
    (Drop(method=WHO, how="fin", count=1), NetworkError),
    (Drop(method=WHO, how="rst", count=1), NetworkError),
    (Drop(method=WHO, how="half", count=1), NetworkError),
    (CorruptFrame(method=WHO, count=1), NetworkError),
    (LostAnswer(method=WHO, count=1), DeadlineExceeded),
    (TransportError(method=WHO, code=429, count=1), NetworkError),
    (Drop(method="help.getConfig", how="fin", count=1), NetworkError),
    (LostAnswer(method="help.getConfig", count=1), DeadlineExceeded),
    (CorruptFrame(method="help.getConfig", count=1), NetworkError),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda p: getattr(p, "kind", None))
async def test_a_fault_becomes_its_error_within_the_deadline_and_the_next_call_starts_afresh(
    sim: Simulator, connect: Connect, fault: AnyRule, expected: type[Exception]
) -> None:
    sim.faults.add(fault)
    connection = connect(policy=ONCE)
    with pytest.raises(expected):
        await connection.own_id()
    assert await connection.own_id() == 500_000_001
    assert connection.meter.connections == 2


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda p: getattr(p, "kind", None))
async def test_the_stack_makes_up_for_it(
    sim: Simulator, connect: Connect, fault: AnyRule, expected: type[Exception]
) -> None:
    sim.faults.add(fault)
    connection = connect(policy=QUICK)
    assert await connection.own_id() == 500_000_001
    assert connection.meter.retries == {expected.__name__: 1}


@pytest.mark.parametrize("how", ["fin", "rst", "half"])
async def test_all_calls_under_way_learn_of_a_dropped_connection_at_once(
    sim: Simulator, connect: Connect, how: str
) -> None:
    sim.faults.add(Drop(method=WHO, how=how, count=4, probability=0.4))  # type: ignore[arg-type] # one of three words
    patient = replace(POLICY, max_attempts=9)
    connection = connect(policy=patient)
    for _ in range(5):
        await asyncio.gather(*(connection.own_id() for _ in range(8)))
    assert set(connection.meter.retries) == {"NetworkError"}


async def test_a_slow_answer_meets_the_deadline_and_others_do_not_wait_for_it(sim: Simulator, connect: Connect) -> None:
    sim.faults.add(Latency(method="messages.getHistory", ms=50_000))
    connection = connect(policy=ONCE)
    history = GetHistoryRequest(tl.InputPeerSelf(), 0, None, 0, 1, 0, 0, 0)
    slow = asyncio.create_task(connection.call(history))
    assert await connection.own_id() == 500_000_001
    assert not slow.done()
    with pytest.raises(DeadlineExceeded, match=r"messages\.getHistory .* 1 s"):
        await slow


async def test_a_cancellation_from_outside_is_a_cancellation(sim: Simulator, connect: Connect) -> None:
    sim.faults.add(LostAnswer(method=WHO, count=1))
    connection = connect(policy=replace(POLICY, max_attempts=5))
    task = asyncio.create_task(connection.own_id())
    while WHO not in methods(sim):  # noqa: ASYNC110 - it is another thread that writes the journal
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await connection.own_id() == 500_000_001
    assert connection.meter.total_retries == 0


async def test_a_call_that_is_cancelled_does_not_end_the_others_on_its_connection(
    sim: Simulator, connect: Connect
) -> None:
    sim.faults.add(Latency(method=WHO, ms=300, count=1))
    sim.faults.add(LostAnswer(method="messages.getHistory"))
    connection = connect()
    lost = asyncio.create_task(connection.call(GetHistoryRequest(tl.InputPeerSelf(), 0, None, 0, 1, 0, 0, 0)))
    other = asyncio.create_task(connection.own_id())
    while not {WHO, "messages.getHistory"} <= set(methods(sim)):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
    lost.cancel()
    await asyncio.wait([lost])
    assert await other == 500_000_001
    assert (lost.cancelled(), connection.meter.total_retries, connection.meter.connections) == (True, 0, 1)
    assert await connection.own_id() == 500_000_001
    assert connection.meter.connections == 2, "a line that a call was given up on is not trusted with the next one"


async def test_a_deadline_that_passes_while_another_connects_is_kept(sim: Simulator, connect: Connect) -> None:
    sim.faults.add(LostAnswer(method="help.getConfig"))
    connection = connect(policy=ONCE)
    answers = await asyncio.gather(*(connection.own_id() for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DeadlineExceeded] * 3
    sim.faults.clear()
    assert await connection.own_id() == 500_000_001


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (Error(error="AUTH_KEY_UNREGISTERED"), "AUTH_KEY_UNREGISTERED"),
        (Error(error="SESSION_REVOKED", method=WHO), "SESSION_REVOKED"),
        (TransportError(code=404), "AUTH_KEY_NOT_FOUND"),
        (TransportError(code=404, method=WHO), "AUTH_KEY_NOT_FOUND"),
    ],
)
async def test_a_dead_session_is_told_at_once_and_not_tried_again(
    sim: Simulator, connect: Connect, fault: AnyRule, name: str
) -> None:
    sim.faults.add(fault)
    connection = connect()
    with pytest.raises(SessionRevoked, match=name):
        await connection.own_id()
    assert connection.meter.total_retries == 0


async def test_a_session_in_two_places_is_dead_and_says_why(sim: Simulator, connect: Connect) -> None:
    session = sim.new_session()
    first, second = connect(session), connect(session)
    await first.own_id()
    with pytest.raises(SessionRevoked, match="AUTH_KEY_DUPLICATED"):
        await second.own_id()


async def test_wrong_api_credentials_are_told(connect: Connect, sim: Simulator) -> None:
    sim.faults.add(Error(error="API_ID_INVALID"))
    with pytest.raises(ApiRejected, match="API_ID_INVALID"):
        await connect().own_id()


async def test_a_server_that_is_not_there_is_a_network_error(sim: Simulator, connect: Connect) -> None:
    session = session_from(sim.new_session())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        session.set_dc(2, "127.0.0.1", taken.getsockname()[1])
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NetworkError, match=f"to Telegram at {where} failed .*Check that this machine reaches it"):
            await connect(session.save(), policy=ONCE).own_id()


async def test_a_closed_connection_connects_anew(sim: Simulator, connect: Connect) -> None:
    connection = connect()
    await connection.close()
    await connection.own_id()
    await connection.close()
    await connection.close()
    await connection.own_id()
    assert methods(sim).count("help.getConfig") == 2


@pytest.mark.parametrize("password", [None, "p4ss"])
async def test_a_socks_proxy_is_gone_through(sim: Simulator, connect: Connect, password: str | None) -> None:
    async with socks_proxy(password) as port:
        login = f"user:{password}@" if password else ""
        api = Api(sim.api_id, sim.api_hash, parse_proxy(f"socks5://{login}127.0.0.1:{port}"))
        connection = connect(api=api)
        assert await connection.own_id() == 500_000_001
        await connection.close()


async def test_a_proxy_that_refuses_is_a_network_error_without_its_password(sim: Simulator, connect: Connect) -> None:
    async with socks_proxy("right") as port:
        api = Api(sim.api_id, sim.api_hash, parse_proxy(f"socks5://user:wr0ng@127.0.0.1:{port}"))
        with pytest.raises(NetworkError) as refused:
            await connect(api=api, policy=ONCE).own_id()
    assert f"through the proxy 127.0.0.1:{port} failed" in str(refused.value)
    assert "Check TELEGRAM_PROXY" in str(refused.value)
    assert "wr0ng" not in str(refused.value)
    assert "wr0ng" not in repr(api)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port where connections are accepted by the kernel and never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["socks5://127.0.0.1:{}", f"mtproto://{'ab' * 16}@127.0.0.1:{{}}"])
async def test_a_proxy_that_says_nothing_meets_the_deadline_and_leaves_no_socket(
    sim: Simulator, connect: Connect, silent_server: int, kind: str
) -> None:
    api = Api(sim.api_id, sim.api_hash, parse_proxy(kind.format(silent_server)))
    with pytest.raises((DeadlineExceeded, NetworkError)):
        await connect(api=api, policy=ONCE).own_id()


async def test_telethon_logs_nothing(sim: Simulator, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sim.faults.add(CorruptFrame(method=WHO, count=1))
    session = sim.new_session()
    await connect(session).own_id()
    assert session not in caplog.text
    assert sim.api_hash not in caplog.text
    assert not [r for r in caplog.records if "telethon" in r.name]


def test_a_malformed_session_is_refused_without_being_repeated() -> None:
    for text in ("1hunter2", "hunter2", "", "1" + "A" * 352):
        with pytest.raises(SessionMissing, match=r"malformed|empty") as refused:
            session_from(text)
        assert "hunter2" not in str(refused.value)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="TELEGRAM_SERVER_PUBLIC_KEY: not an RSA public key"):
        trust_server_key("-----BEGIN RSA PUBLIC KEY-----\nnonsense\n-----END RSA PUBLIC KEY-----")


def test_methods_are_named_as_in_telegrams_documentation() -> None:
    assert method_name(GetUsersRequest([])) == WHO


async def test_a_bug_of_ours_is_raised_as_it_is(sim: Simulator, api: Api) -> None:
    from tg_pipeline.machine.clock import SystemClock

    wire = Wire(sim.new_session(), api, SystemClock())
    too_long = GetHistoryRequest(tl.InputPeerSelf(), 2**40, None, 0, 1, 0, 0, 0)
    with pytest.raises(Exception, match="format requires"):
        await wire.send(too_long, "messages.getHistory")
    await wire.close()


def test_secrets_are_not_in_the_repr(sim: Simulator, api: Api) -> None:
    assert sim.api_hash not in repr(api)
    assert POLICY.max_attempts == 3
