"""Service messages of MTProto itself (core.telegram.org/mtproto/service_messages): pings, states, salts, acks."""

from collections.abc import Callable
from typing import Any

from telethon.tl import functions
from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

RECEIVED = "\4"


def _pong(msg_id: int, request: Any) -> TLObject:
    return tl.Pong(msg_id, request.ping_id)


def _states(msg_id: int, request: Any) -> TLObject:
    return tl.MsgsStateInfo(msg_id, RECEIVED * len(request.msg_ids))


def _session_gone(_msg_id: int, request: Any) -> TLObject:
    return tl.DestroySessionNone(request.session_id)


def _nothing(_msg_id: int, _request: Any) -> None:
    return None


SERVICE: dict[type, Callable[[int, Any], TLObject | None]] = {
    functions.PingRequest: _pong,
    functions.PingDelayDisconnectRequest: _pong,
    functions.DestroySessionRequest: _session_gone,
    tl.MsgsStateReq: _states,
    tl.MsgResendReq: _states,
    tl.MsgsAck: _nothing,
    tl.MsgsStateInfo: _nothing,
    tl.MsgsAllInfo: _nothing,
    tl.HttpWait: _nothing,
}
