"""The control port: a world watched and changed over HTTP while clients read it."""

import asyncio
import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from telethon import errors

from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.control import http
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline_tests.simulator.clients import connected, history
from tg_pipeline_tests.simulator.test_login import scanned_by, stranger


def ask(sim: Simulator, method: str, path: str, body: object = None) -> Any:
    """The JSON value that the control port answers."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"http://127.0.0.1:{sim.control}{path}", data, method=method), timeout=10) as reply:
        return json.loads(reply.read())


def lines(sim: Simulator, path: str) -> list[dict[str, Any]]:
    """The JSON lines that the control port answers."""
    with urlopen(f"http://127.0.0.1:{sim.control}{path}", timeout=10) as reply:
        return [json.loads(line) for line in reply.read().splitlines()]


def refusal(sim: Simulator, method: str, path: str, body: object = None) -> tuple[int, str]:
    """Status and sentence of a request that is refused."""
    with pytest.raises(HTTPError) as caught:
        ask(sim, method, path, body)
    with caught.value as reply:
        return reply.code, json.loads(reply.read())["error"]


def test_the_root_says_where_everything_is(sim: Simulator) -> None:
    about = ask(sim, "GET", "/")
    assert (about["host"], about["port"], about["control"]) == ("127.0.0.1", sim.port, sim.control)
    assert about["chats"] == [{"username": "alpha", "messages": 250}, {"username": "beta", "messages": 0}]
    assert ask(sim, "GET", "/chats") == [
        {"id": chat_id, "username": chat.username, "messages": count}
        for (chat_id, chat), count in zip(sim.world.chats.items(), (250, 0), strict=True)
    ]


def test_messages_are_streamed_by_utc_day(sim: Simulator, chat: Overlay) -> None:
    everything = lines(sim, "/chats/alpha/messages")
    assert [line["id"] for line in everything] == list(range(1, 251))
    assert everything[0]["date"].startswith("2024-01-01T")
    assert everything[0]["text"] == chat.messages(0, 1, 2e9)[0].message
    marked_id = next(iter(sim.world.chats))
    assert lines(sim, f"/chats/{marked_id}/messages?from=2024-01-02&to=2024-01-03") == everything[10:30]
    assert lines(sim, "/chats/beta/messages") == []


async def test_changes_are_seen_by_clients_at_once(sim: Simulator) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        await client(history(peer))
        ask_there = asyncio.to_thread
        added = await ask_there(ask, sim, "POST", "/messages", {"chat": "alpha", "text": "hello", "reply_to": 250})
        assert added == {"id": 251}
        await ask_there(ask, sim, "POST", "/edit", {"chat": "alpha", "id": 250, "text": "edited"})
        assert await ask_there(ask, sim, "POST", "/delete", {"chat": "alpha", "ids": [249, 9999]}) == {"deleted": 1}
        page = await client(history(peer, limit=3))
        assert [(message.id, message.message) for message in page.messages][:2] == [(251, "hello"), (250, "edited")]
        assert page.messages[0].reply_to.reply_to_msg_id == 250
        assert page.messages[2].id == 248
        await ask_there(ask, sim, "POST", "/rename", {"chat": "alpha", "username": "gamma"})
        assert (await client.get_entity("gamma")).id == peer.channel_id


async def test_faults_are_added_replaced_and_cleared(sim: Simulator) -> None:
    flood = {"kind": "error", "error": "FLOOD_WAIT_9", "method": "messages.getHistory"}
    slow = {"kind": "latency", "ms": 1.0}
    assert ask(sim, "POST", "/faults", {"rules": [flood]})["rules"] == [flood]
    assert ask(sim, "POST", "/faults", {"rules": [slow]})["rules"] == [flood, slow]
    assert ask(sim, "PUT", "/faults", {"rules": [flood]})["rules"] == [flood]
    async with connected(sim) as client:
        with pytest.raises(errors.FloodWaitError):
            await client(history(await client.get_input_entity("alpha")))
    assert ask(sim, "DELETE", "/faults") == {"rules": []}
    assert ask(sim, "GET", "/faults") == {"rules": []}


async def test_sessions_and_the_journal_are_handed_out(sim: Simulator) -> None:
    async with connected(sim, ask(sim, "POST", "/sessions")["session"]) as client:
        assert await client.is_user_authorized()
    entries = ask(sim, "GET", "/journal")
    assert entries == sim.journal
    assert set(entries[0]) == {"ts", "method", "connection", "params"}
    assert ask(sim, "GET", "/journal?from=2") == sim.journal[2:]


@pytest.mark.parametrize("named", [True, False])
async def test_the_control_port_plays_the_phone(sim: Simulator, *, named: bool) -> None:
    async def scan(shown: Any) -> None:
        await asyncio.to_thread(ask, sim, "POST", "/accept-login", {"token": shown.url} if named else None)

    async with stranger(sim, receive_updates=True) as client:
        assert (await scanned_by(scan, client)).is_self


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("GET", "/nothing", None, 404, "there is no GET /nothing"),
        ("DELETE", "/messages", None, 404, "there is no DELETE /messages"),
        ("GET", "/chats/nobody/messages", None, 404, "there is no chat 'nobody'"),
        ("GET", "/chats/alpha/messages?from=2024-13-01", None, 400, "month must be in 1..12"),
        ("POST", "/edit", {"chat": "alpha", "id": 9999, "text": ""}, 400, "9999"),
        ("POST", "/edit", {"chat": "alpha", "idd": 1}, 400, "Field required"),
        ("POST", "/delete", [], 400, "the body: Input should be"),
        ("POST", "/faults", {"rules": [{"kind": "fire"}]}, 400, "fault script, rules.0"),
        ("POST", "/accept-login", None, 400, "nobody has asked for a QR login"),
        ("POST", "/accept-login", {"token": "AAAA"}, 400, "there is no such login token"),
    ],
)
def test_what_cannot_be_done_gets_a_sentence(
    sim: Simulator, method: str, path: str, body: object, status: int, sentence: str
) -> None:
    code, said = refusal(sim, method, path, body)
    assert code == status
    assert sentence in said


def test_a_chat_that_is_no_overlay_cannot_change(chat: Overlay, world: World) -> None:
    world.chats = dict.fromkeys(list(world.chats)[:1], chat.base)
    with Simulator(world) as sim:
        status, sentence = refusal(sim, "POST", "/messages", {"chat": "alpha", "text": "x"})
    assert (status, sentence) == (400, "chat 'alpha' cannot change: it is not an Overlay")


async def raw(sim: Simulator, request: bytes) -> bytes:
    """Everything that comes back for these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.control)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_what_is_not_http_is_refused_and_what_breaks_off_is_forgotten(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert b"this is not an HTTP request" in await raw(sim, b"\r\n\r\n")
    assert await raw(sim, b"POST /messages HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort") == b""
    monkeypatch.setattr(http, "BODY_LIMIT", 3)
    assert b"413 " in await raw(sim, b"POST /messages HTTP/1.1\r\nContent-Length: 4\r\n\r\n1234")
    assert b"400 " in await raw(sim, b"POST /messages HTTP/1.1\r\nContent-Length: x\r\n\r\n")
