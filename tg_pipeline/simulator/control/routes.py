"""What can be asked of the control port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from telethon.tl import types as tl

from tg_pipeline.simulator.account import LOGIN_CODE
from tg_pipeline.simulator.fault_script import parse_script
from tg_pipeline.simulator.methods.qr import accept
from tg_pipeline.simulator.telegram import Telegram
from tg_pipeline.simulator.world import Chat
from tg_pipeline.simulator.worlds.overlay import Overlay

CHUNK_MESSAGES = 1000


class Refusal(Exception):
    """An answer other than 200, with the sentence that explains it."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request to the control port; `path` without empty parts."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    body: bytes


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewMessage(_Body):
    """POST /messages: `date` in POSIX seconds, now if left out."""

    chat: str | int
    text: str
    date: float | None = None
    reply_to: int | None = None


class Edit(_Body):
    """POST /edit."""

    chat: str | int
    id: int
    text: str


class Deletion(_Body):
    """POST /delete."""

    chat: str | int
    ids: list[int]


class Rename(_Body):
    """POST /rename: a username of null takes the chat's name away."""

    chat: str | int
    username: str | None


class Scan(_Body):
    """POST /accept-login: `token` as the `tg://login?token=` address or the bare token in it."""

    token: str | None = None


BodyT = TypeVar("BodyT", bound=_Body)


def answer(server: Telegram, request: Request) -> object:
    """The JSON value that answers a request, or the chunks of JSON lines that do. Raises Refusal or ValueError."""
    if len(request.path) == 3 and (request.method, request.path[0], request.path[2]) == ("GET", "chats", "messages"):
        return messages(server, request)
    route = ROUTES.get((request.method, "/".join(request.path)))
    if route is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is no {request.method} /{'/'.join(request.path)}")
    return route(server, request)


def describe(server: Telegram) -> dict[str, Any]:
    """Where the server is and what it serves: what `simulate` announces when it is ready, without a session."""
    return {
        "host": server.host,
        "port": server.port,
        "control": server.control_port,
        "api_id": server.api_id,
        "api_hash": server.api_hash,
        "public_key": str(server.public_key),
        "phone": server.account.phone,
        "login_code": LOGIN_CODE,
        "password": server.options.password,
        "chats": [
            {"username": chat["username"], "messages": chat["messages"]} for chat in chats(server) if chat["username"]
        ],
    }


def chats(server: Telegram, _request: Request | None = None) -> list[dict[str, Any]]:
    """Every chat with its marked id and its number of messages, those without a username too."""
    now = server.options.clock()
    return [
        {"id": chat_id, "username": chat.username, "messages": chat.size(now)}
        for chat_id, chat in server.world.chats.items()
    ]


def messages(server: Telegram, request: Request) -> AsyncIterator[bytes]:
    """The messages of a chat on the UTC days `from` to `to`, both included and optional, as chunks of JSON lines."""
    chat = _chat(server, request.path[1])
    now = server.options.clock()
    first = _midnight(request.query.get("from"), 0)
    last = _midnight(request.query.get("to"), 1)
    start = 0 if first is None else chat.rank_of_date(first, now)
    stop = chat.size(now) if last is None else chat.rank_of_date(last, now)
    return _lines(chat, start, stop, now)


async def _lines(chat: Chat, start: int, stop: int, now: float) -> AsyncIterator[bytes]:
    for rank in range(start, stop, CHUNK_MESSAGES):
        part = chat.messages(rank, min(rank + CHUNK_MESSAGES, stop), now)
        yield b"".join(orjson.dumps(_plain(message), option=orjson.OPT_APPEND_NEWLINE) for message in part)
        await asyncio.sleep(0)


def _plain(message: tl.TypeMessage) -> dict[str, Any]:
    when = message.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": message.id, "date": when, "text": getattr(message, "message", None) or ""}


def _midnight(day: str | None, days_later: int) -> float | None:
    if day is None:
        return None
    return datetime.combine(date.fromisoformat(day) + timedelta(days=days_later), time(), UTC).timestamp()


def add_message(server: Telegram, request: Request) -> object:
    """A new message; answers its id."""
    body = _body(NewMessage, request)
    return {"id": _overlay(server, body.chat).add(body.text, date=body.date, reply_to=body.reply_to)}


def edit_message(server: Telegram, request: Request) -> object:
    """Another text for a message."""
    body = _body(Edit, request)
    _overlay(server, body.chat).edit(body.id, body.text)
    return {}


def delete_messages(server: Telegram, request: Request) -> object:
    """Messages gone; answers how many."""
    body = _body(Deletion, request)
    return {"deleted": _overlay(server, body.chat).delete(body.ids)}


def rename_chat(server: Telegram, request: Request) -> object:
    """Another username for a chat."""
    body = _body(Rename, request)
    _overlay(server, body.chat).rename(body.username)
    return {}


def faults(server: Telegram, _request: Request | None = None) -> object:
    """The fault rules in force."""
    return {
        "rules": [
            {"kind": rule.kind} | rule.model_dump(mode="json", exclude_defaults=True) for rule in server.faults.rules
        ]
    }


def add_faults(server: Telegram, request: Request) -> object:
    """The rules of a script after those in force."""
    server.faults.add(*parse_script(request.body).rules)
    return faults(server)


def replace_faults(server: Telegram, request: Request) -> object:
    """A script in the place of the rules in force."""
    server.faults.load(parse_script(request.body))
    return faults(server)


def clear_faults(server: Telegram, _request: Request) -> object:
    """No more faults."""
    server.faults.clear()
    return faults(server)


def new_session(server: Telegram, _request: Request) -> object:
    """One more session string of the account."""
    return {"session": server.new_session()}


def accept_login(server: Telegram, request: Request) -> object:
    """Play the phone that scans a QR code: `token` is what the code shows, the youngest one if left out."""
    token = server.account.find_token(_body(Scan, request).token if request.body else None)
    accept(server, token, server.options.clock())
    return {}


def journal(server: Telegram, request: Request) -> object:
    """The entries of the journal, from number `from` on, in order."""
    return list(server.journal.entries)[int(request.query.get("from", 0)) :]


def _chat(server: Telegram, name: str | int) -> Chat:
    text = str(name)
    chat = server.world.by_username(text)
    if chat is None and text.lstrip("-").isdigit():
        chat = server.world.chats.get(int(text))
    if chat is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is no chat {text!r}")
    return chat


def _overlay(server: Telegram, name: str | int) -> Overlay:
    chat = _chat(server, name)
    if not isinstance(chat, Overlay):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"chat {str(name)!r} cannot change: it is not an Overlay")
    return chat


def _body(model: type[BodyT], request: Request) -> BodyT:
    try:
        return model.model_validate_json(request.body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{place}: {first['msg']}") from error


ROUTES: dict[tuple[str, str], Callable[[Telegram, Request], object]] = {
    ("GET", ""): lambda server, _: describe(server),
    ("GET", "chats"): chats,
    ("GET", "faults"): faults,
    ("GET", "journal"): journal,
    ("POST", "messages"): add_message,
    ("POST", "edit"): edit_message,
    ("POST", "delete"): delete_messages,
    ("POST", "rename"): rename_chat,
    ("POST", "faults"): add_faults,
    ("PUT", "faults"): replace_faults,
    ("DELETE", "faults"): clear_faults,
    ("POST", "sessions"): new_session,
    ("POST", "accept-login"): accept_login,
}
