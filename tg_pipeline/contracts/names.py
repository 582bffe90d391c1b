"""The ways a person names a chat, read without asking anybody."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tg_pipeline.contracts.errors import InputError

ALLOWED = "@username, a t.me link, a numeric id such as -1001234567890, or the exact title of a dialog"

_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,31}")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_PHONE = re.compile(r"\+[0-9][0-9 ()-]{4,}")
_SHORT_NUMBER = re.compile(r"[0-9]{1,15}")
_HOSTS = {"t.me", "telegram.me", "telegram.dog"}
_WEB_HOST = "web.telegram.org"
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://\S*|[^\s/?#]+\.[^\s/?#]+[/?#]\S*", re.IGNORECASE)
_WEB_CHAT = re.compile(r"(@?[A-Za-z]\w+|[+-]?[0-9]{1,18})(?:[_/?&].*)?", re.ASCII)
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
CHANNEL_MARK = 1_000_000_000_000
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
    """Read any of the ways to name a chat, without asking anybody.

    @name, t.me/name, t.me/name/123, name.t.me, t.me/c/1234/5, tg://resolve?domain=name, tg://privatepost?channel=1234,
    tg://openmessage?user_id=1234, web.telegram.org/k/#@name, web.telegram.org/a/#-1001234, -1001234, or a title. A bare
    word of username form is a username, or a title where nobody has that username. InputError, with the reason, for an
    empty name, a phone number, and every other link: an invite link names no chat until the account has joined it.
    """
    text = text.strip()
    if not text or len(text) > _TITLE_LENGTH or has_controls(text):
        raise InputError(f"chat: {text[:40]!r} names no chat. Allowed: {ALLOWED}.", field="chat")
    if _NUMBER.fullmatch(text):
        return ById(int(text))
    if _PHONE.fullmatch(text):
        raise _no_chat(text, "is a phone number")
    if text.startswith("@"):
        return ByUsername(_username(text[1:], text))
    if re.fullmatch(r"#(@\w+|-[0-9]+)", text):
        return _from_web("", text[1:], text)
    if re.match("tg:", text, re.IGNORECASE):
        return _from_app_link(text)
    return _from_link(text) or (ByUsername(text, may_be_title=True) if _USERNAME.fullmatch(text) else ByTitle(text))


def readings(number: int) -> Sequence[int]:
    """The marked ids a number may stand for: itself, and for a positive one also a channel's or group's bare id."""
    return (number,) if number < 0 else (number, -(CHANNEL_MARK + number), -number)


def _from_link(text: str) -> ChatName | None:
    """What a web address names; None for a text that is none."""
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
    except ValueError:
        return None
    host = parts.netloc.lower().removeprefix("www.")
    path = [part for part in parts.path.split("/") if part]
    if host in _HOSTS:
        return _from_path(path, text)
    if host == _WEB_HOST:
        return _from_web(path[0] if path else "", parts.fragment, text)
    name = host.removesuffix(".t.me")
    if name != host and _USERNAME.fullmatch(name):
        return _from_path([name, *path], text)
    if _LINK.fullmatch(text):
        raise _no_chat(text, "is a link, and not one of Telegram's")
    return None


def _from_app_link(text: str) -> ChatName:
    """tg://resolve?domain=name and its like (core.telegram.org/api/links)."""
    action, _, query = text.partition(":")[2].lstrip("/").partition("?")
    given = {key: values[0] for key, values in parse_qs(query.partition("#")[0]).items()}
    match action.rstrip("/").lower(), given:
        case "resolve", {"domain": name}:
            return ByUsername(_username(name, text))
        case "resolve", {"phone": _}:
            raise _no_chat(text, "names a person by phone number")
        case "privatepost", {"channel": number} if _SHORT_NUMBER.fullmatch(number):
            return ById(-(CHANNEL_MARK + int(number)))
        case ("openmessage", {"user_id": number}) | ("user", {"id": number}) if _SHORT_NUMBER.fullmatch(number):
            return ById(int(number))
        case "openmessage", {"chat_id": number} if _SHORT_NUMBER.fullmatch(number):
            return ById(-int(number))
        case "join", _:
            raise _invite(text)
    raise _no_chat(text, "is a link to no chat")


def _from_web(client: str, fragment: str, text: str) -> ChatName:
    """What Telegram Web shows behind the # of its address: @name, or an id, in notations of its own."""
    old = re.match(r"/im\?p=(.*)", fragment)
    named = old[1] if old else fragment.lstrip("/")
    if old and (peer := re.match(r"([cgsu])([0-9]{1,15})(?![0-9])", named)):
        sign, number = peer[1], int(peer[2])
        return ById(number if sign == "u" else -number if sign == "g" else -(CHANNEL_MARK + number))
    if address := parse_qs(fragment.removeprefix("?")).get("tgaddr"):
        return _from_app_link(address[0])
    found = _WEB_CHAT.fullmatch(named)
    if found is None:
        raise _no_chat(text, "is a link to no chat")
    if not re.fullmatch(r"[+-]?[0-9]+", found[1]):
        return ByUsername(_username(found[1].removeprefix("@").split("/")[0], text))
    marked_id = int(found[1])
    if client == "k" and -CHANNEL_MARK < marked_id < 0:
        raise InputError(
            f"chat: {text!r} may mean a channel or a group, because Telegram Web K shows both alike. Write "
            f"{-CHANNEL_MARK + marked_id} for the channel or supergroup, {marked_id} for the basic group.",
            field="chat",
        )
    return ById(marked_id)


def _no_chat(text: str, why: str) -> InputError:
    return InputError(f"chat: {text!r} {why}. Allowed: {ALLOWED}.", field="chat")


def _invite(text: str) -> InputError:
    return InputError(
        f"chat: {text!r} is an invite link. Join the chat with this account first, then name it by its title or id.",
        field="chat",
    )


def _from_path(path: list[str], text: str) -> ChatName:
    match path:
        case ["c", number, *_] if _SHORT_NUMBER.fullmatch(number):
            return ById(-(CHANNEL_MARK + int(number)))
        case [first, *_] if re.fullmatch(r"\+[0-9]{5,15}", first):
            raise _no_chat(text, "names a person by phone number")
        case [first, *_] if first.startswith("+") or first.lower() == "joinchat":
            raise _invite(text)
        case [first, name, *_] if first == _PREVIEW_PATH:
            return ByUsername(_username(name, text))
        case [first, *_] if first.lower() not in _NO_USERNAMES and not first.startswith("$"):
            return ByUsername(_username(first.removeprefix("@"), text))
        case _:
            raise _no_chat(text, "is a link to no chat")


def _username(name: str, text: str) -> str:
    if not _USERNAME.fullmatch(name):
        raise InputError(
            f"chat: {text!r} holds no username. A username has 3-32 letters, digits and '_' and begins with a letter.",
            field="chat",
        )
    return name
