"""The ways a person names a chat, read without asking anybody."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tg_pipeline.contracts.errors import InputError

ALLOWED = "@username, a t.me link, a numeric id such as -1001234567890, or the exact title of a dialog"

_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,31}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_SHORT_NUMBER = re.compile(r"[0-9]{1,15}")
_HOSTS = {"t.me", "telegram.me", "telegram.dog", "www.t.me"}
_NO_USERNAMES = frozenset(
    {
        "addemoji",
        "addlist",
        "addstickers",
        "addtheme",
        "auction",
        "bg",
        "boost",
        "call",
        "confirmphone",
        "contact",
        "giftcode",
        "invoice",
        "iv",
        "joinchat",
        "login",
        "m",
        "msg",
        "nft",
        "proxy",
        "setlanguage",
        "share",
        "socks",
    }
)
"""First parts of links that name something else than a chat (core.telegram.org/api/links)."""
_CHANNEL_MARK = 1_000_000_000_000
_PREVIEW_PATH = "s"
_TITLE_LENGTH = 256
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class ByUsername:
    """A public name, without the at sign. One that was given as a bare word may be the title of a dialog instead."""

    username: str
    may_be_title: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class ById:
    """A marked id: users positive, basic groups negative, channels -100..."""

    marked_id: int


@dataclass(frozen=True, slots=True)
class ByTitle:
    """The exact title of one of the account's dialogs."""

    title: str


ChatName = ByUsername | ById | ByTitle


def has_controls(text: str) -> bool:
    """Whether the text holds what no name does: control characters, halves of surrogate pairs, line separators."""
    return any(unicodedata.category(character) in _CONTROLS for character in text)


def parse_name(text: str) -> ChatName:
    """Read @name, t.me/name, t.me/name/123, name.t.me, t.me/c/1234/5, tg://resolve?domain=name, -100123, or a title.

    A bare word of username form is a username, or a title where nobody has that username. InputError for an empty
    name and for invite links, which name no chat until the account has joined it.
    """
    text = text.strip()
    if not text or len(text) > _TITLE_LENGTH or has_controls(text):
        raise InputError(f"chat: {text[:40]!r} names no chat. Allowed: {ALLOWED}.", field="chat")
    if _NUMBER.fullmatch(text):
        return ById(int(text))
    if text.startswith("@"):
        return ByUsername(_username(text[1:], text))
    link = _link_path(text)
    if link is not None:
        return _from_path(link, text)
    return ByUsername(text, may_be_title=True) if _USERNAME.fullmatch(text) else ByTitle(text)


def readings(number: int) -> Sequence[int]:
    """The marked ids a number may stand for: itself, and for a positive one also a channel's or group's bare id."""
    return (number,) if number < 0 else (number, -(_CHANNEL_MARK + number), -number)


def _link_path(text: str) -> list[str] | None:
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
    except ValueError:
        return None
    if parts.scheme == "tg":
        return parse_qs(parts.query).get("domain", [""])[:1]
    host = parts.netloc.lower()
    path = [part for part in parts.path.split("/") if part]
    if host in _HOSTS:
        return path
    name = host.removesuffix(".t.me")
    return [name, *path] if name != host and _USERNAME.fullmatch(name) else None


def _from_path(path: list[str], text: str) -> ChatName:
    match path:
        case ["c", number, *_] if _SHORT_NUMBER.fullmatch(number):
            return ById(-(_CHANNEL_MARK + int(number)))
        case [first, *_] if first.startswith("+") or first.lower() == "joinchat":
            raise InputError(
                f"chat: {text!r} is an invite link. Join the chat with this account first, "
                "then name it by its title or id.",
                field="chat",
            )
        case [first, name, *_] if first == _PREVIEW_PATH:
            return ByUsername(_username(name, text))
        case [first, *_] if first.lower() not in _NO_USERNAMES:
            return ByUsername(_username(first, text))
        case _:
            raise InputError(f"chat: {text!r} is a link to no chat. Allowed: {ALLOWED}.", field="chat")


def _username(name: str, text: str) -> str:
    if not _USERNAME.fullmatch(name):
        raise InputError(
            f"chat: {text!r} holds no username. A username has 3-32 letters, digits and '_' and begins with a letter.",
            field="chat",
        )
    return name
