"""The way of one request through the server: wrappers off, journal, faults, handler, answer."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

from telethon.tl import functions

from tg_pipeline.simulator.authorizations import Authorization
from tg_pipeline.simulator.client import Client
from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.faults import (
    AnyRule,
    CorruptFrame,
    Drop,
    Error,
    LostAnswer,
    PageFault,
    TransportError,
    Undecodable,
    Verdict,
)
from tg_pipeline.simulator.journal import Entry, method_name, params_of
from tg_pipeline.simulator.methods import HANDLERS, Call
from tg_pipeline.simulator.methods.peers import find_chat
from tg_pipeline.simulator.mtproto import pack
from tg_pipeline.simulator.telegram import Telegram

log = logging.getLogger(__name__)
WRAPPERS = (
    functions.InvokeWithLayerRequest,
    functions.InitConnectionRequest,
    functions.InvokeWithoutUpdatesRequest,
    functions.InvokeAfterMsgRequest,
    functions.InvokeAfterMsgsRequest,
    functions.InvokeWithTakeoutRequest,
)


def serve(server: Telegram, connection: Client, authorization: Authorization, msg_id: int, request: Any) -> None:
    """Answer one request of a client, and write it down."""
    takeout_id = None
    while isinstance(request, WRAPPERS):
        takeout_id = getattr(request, "takeout_id", takeout_id)
        request = request.query
    call = Call(server, connection, authorization, request, server.options.clock(), takeout_id)
    entry = _entry(connection, method_name(type(request)), params_of(request))
    verdict = Verdict()
    reply: bytes | RpcError
    if _duplicated(call):
        reply = RpcError(406, "AUTH_KEY_DUPLICATED")
    else:
        if server.faults.armed:
            verdict = server.faults.judge(entry["method"], entry["params"], _chat_name(call), connection.dc_id)
        reply = _reply(call, verdict.rule)
    if isinstance(reply, RpcError):
        entry["error"] = reply.message
    elif verdict.rule:
        entry["error"] = f"!{verdict.rule.kind}"
    server.journal.write(entry)
    _deliver(server.options.latency, connection, msg_id, reply, verdict)


def refuse_unknown(server: Telegram, connection: Client, msg_id: int, constructor: int) -> None:
    """Answer a request whose constructor id is in no layer that Telethon's TL classes know."""
    log.error("constructor %08x is not known", constructor)
    error = RpcError(400, f"INPUT_METHOD_INVALID_{constructor}_0")
    server.journal.write(_entry(connection, f"#{constructor:08x}", {}) | {"error": error.message})
    connection.answer(msg_id, error, server.options.latency)


def _entry(connection: Client, method: str, params: dict[str, Any]) -> Entry:
    return Entry(ts=time.time(), method=method, connection=connection.number, params=params)


def _duplicated(call: Call) -> bool:
    """Whether another open connection uses the same key; if so the key is worth nothing from now on."""
    authorization, connection = call.authorization, call.connection
    if len(authorization.connections) == 1 or not (authorization.logged_in and call.server.options.forbid_duplicates):
        return False
    authorization.log_out()
    numbers = sorted(other.number for other in authorization.connections)
    call.server.journal.write(_entry(connection, "!auth_key_duplicated", {"connections": numbers}))
    return True


def _chat_name(call: Call) -> str | None:
    """The username of the chat that a request concerns, for the predicate `chat` of fault rules."""
    name: str | None = getattr(call.request, "username", None)
    if name is not None:
        return name
    peer = getattr(call.request, "peer", None) or getattr(call.request, "channel", None)
    found = find_chat(call.world, peer) if peer else None
    return found[1].username if found else None


def _reply(call: Call, rule: AnyRule | None) -> bytes | RpcError:
    if isinstance(rule, Error):
        return RpcError(rule.full_code(), rule.error)
    if isinstance(rule, PageFault):
        call = replace(call, page_fault=rule.how)
    if isinstance(rule, Undecodable):
        call = replace(call, undecodable=rule.ids)
    try:
        return _answer(call)
    except RpcError as error:
        return error
    except Exception:
        # A mistake of the simulator must reach its user as an answer, not as a client that waits for ever.
        log.exception("%s failed", method_name(type(call.request)))
        return RpcError(500, "SIMULATOR_FAILED")


def _answer(call: Call) -> bytes:
    handler = HANDLERS.get(type(call.request))
    if handler is None:
        log.error("%s is not simulated", method_name(type(call.request)))
        raise RpcError(400, "METHOD_NOT_SIMULATED")
    if not (handler.anonymous or call.authorization.logged_in):
        raise RpcError(401, "AUTH_KEY_UNREGISTERED")
    if call.takeout_id is not None and call.takeout_id not in call.account.takeouts:
        raise RpcError(400, "TAKEOUT_INVALID")
    return pack(handler.answer(call))


def _deliver(latency: float, connection: Client, msg_id: int, reply: bytes | RpcError, verdict: Verdict) -> None:
    delay = latency + verdict.delay
    match verdict.rule:
        case Drop(how=how):
            asyncio.get_running_loop().call_later(delay, connection.drop, how)
        case TransportError(code=code):
            asyncio.get_running_loop().call_later(delay, connection.send_transport_error, code)
        case LostAnswer():
            pass
        case rule:
            connection.answer(msg_id, reply, delay, corrupt=isinstance(rule, CorruptFrame))
