"""The registry, and finding a chat in it by any of the ways people name it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tg_pipeline.contracts.chat import Peer, RegisteredChat, identifier, is_slug
from tg_pipeline.contracts.commands import CommandError
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.names import ById, ByTitle, ByUsername, ChatName, parse_name, readings


@dataclass(frozen=True, slots=True)
class DisabledChat:
    """An entry of `chats.yaml` that cannot be used. `reason` is a sentence that names file and line.

    `fields` are its values as texts, as far as they are some; they are what it is known by.
    """

    fields: Mapping[str, str]
    line: int
    reason: str

    @property
    def name(self) -> str:
        """What to call it: its slug, else how its chat is named, else where it is."""
        return self.fields.get("slug") or self.fields.get("chat") or f"line {self.line}"


@dataclass(frozen=True, slots=True)
class Registry:
    """The chats of `chats.yaml` that can be archived, and the entries that cannot."""

    chats: list[RegisteredChat]
    disabled: list[DisabledChat]


def find_disabled(entries: Iterable[DisabledChat], name: str) -> DisabledChat | None:
    """The entry of that slug, username, link, id or title. InputError for a name that names no chat."""
    wanted = parse_name(name)
    names = {name, wanted}
    if isinstance(wanted, ByUsername):
        names |= {wanted.username, ByUsername(wanted.username.lower())}
    if isinstance(wanted, ById):
        names |= {ById(marked_id) for marked_id in readings(wanted.marked_id)}
    return next((entry for entry in entries if names & _names(entry)), None)


def _names(entry: DisabledChat) -> set[str | ChatName]:
    found: set[str | ChatName] = {entry.fields[key] for key in ("slug", "title") if key in entry.fields}
    for key in ("chat", "username", "id"):
        name = _parsed(entry.fields.get(key, ""))
        found |= {ByUsername(name.username.lower()) if isinstance(name, ByUsername) else name} if name else set()
    return found


def find_registered(chats: Sequence[RegisteredChat], name: str) -> RegisteredChat | None:
    """The chat of that slug, username, link, id or title. InputError for a name that names no chat."""
    wanted = parse_name(name)
    for chat in chats:
        if name == chat.slug or _parsed(chat.chat) == wanted:
            return chat
    ways: list[ChatName] = [wanted]
    if isinstance(wanted, ByUsername) and wanted.may_be_title:
        ways.append(ByTitle(wanted.username))
    return next((chat for way in ways for chat in chats if _is(chat, way)), None)


def unregistered(name: str) -> RegisteredChat | None:
    """The entry of a chat that is not registered: under its username, or `id<number>`.

    None for one named by title, which is no stable name.
    """
    match parse_name(name):
        case ByUsername(username):
            return RegisteredChat(slug=slug_of(username), chat=f"@{username}")
        case ById(marked_id):
            return RegisteredChat(slug=f"id{abs(marked_id)}", chat=str(marked_id))
        case ByTitle():
            return None


def slug_of(text: str) -> str:
    """The text as a slug; empty where nothing of it can be one."""
    slug = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:63].strip("-_")
    return slug if is_slug(slug) else ""


def _parsed(text: str) -> ChatName | None:
    """None for what names no chat, which a person may have written: the other chats are found all the same."""
    try:
        return parse_name(text)
    except InputError:
        return None


def free_slug(registry: Registry, peer: Peer) -> str:
    """The slug of a new chat: of its username or title, with its id behind it where Dagster knows that name already."""
    slug = slug_of(peer.username or peer.title or "") or f"id{peer.id}"
    slugs = (*(chat.slug for chat in registry.chats if chat.id != peer.marked_id), *map(_slug, registry.disabled))
    if identifier(slug) not in set(map(identifier, slugs)):
        return slug
    return f"{slug[:40].rstrip('-_')}-{peer.id}"


def _slug(entry: DisabledChat) -> str:
    return entry.fields.get("slug", "")


def _is(chat: RegisteredChat, wanted: ChatName) -> bool:
    match wanted:
        case ByUsername(username):
            return username.lower() in {(chat.username or "").lower(), _username(chat)}
        case ById(marked_id):
            return chat.id in readings(marked_id)
        case ByTitle(title):
            return chat.title == title


def _username(chat: RegisteredChat) -> str | None:
    parsed = _parsed(chat.chat)
    return parsed.username.lower() if isinstance(parsed, ByUsername) else None


def chat_of_command(registry: Registry, name: str, *, may_register: bool) -> RegisteredChat:
    """The chat that a command names; where `may_register`, also one that is not registered, under its username or id.

    Raises CommandError: ChatDisabled, ChatNotRegistered.
    """
    found = find_registered(registry.chats, name)
    if found is not None:
        return found
    disabled = find_disabled(registry.disabled, name)
    if disabled is not None:
        raise CommandError("ChatDisabled", disabled.reason, field="chat", value=name)
    new = unregistered(name) if may_register else None
    if new is None:
        raise CommandError(
            "ChatNotRegistered",
            "the chat is not registered",
            field="chat",
            value=name,
            allowed="a chat of chats.yaml; register others with `tg-pipeline chats add`",
        )
    return new
