"""Finding a chat among the registered ones, by any of the ways people name it."""

import re
from collections.abc import Sequence

from tg_pipeline.contracts.chat import RegisteredChat, is_slug
from tg_pipeline.contracts.names import ById, ByTitle, ByUsername, ChatName, parse_name, readings


def find_registered(chats: Sequence[RegisteredChat], name: str) -> RegisteredChat | None:
    """The chat of that slug, username, link, id or title. InputError for a name that names no chat."""
    wanted = parse_name(name)
    for chat in chats:
        if name == chat.slug or parse_name(chat.chat) == wanted:
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
    slug = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:64].strip("-_")
    return slug if is_slug(slug) else ""


def _is(chat: RegisteredChat, wanted: ChatName) -> bool:
    match wanted:
        case ByUsername(username):
            return username.lower() in {(chat.username or "").lower(), _username(chat)}
        case ById(marked_id):
            return chat.id in readings(marked_id)
        case ByTitle(title):
            return chat.title == title


def _username(chat: RegisteredChat) -> str | None:
    parsed = parse_name(chat.chat)
    return parsed.username.lower() if isinstance(parsed, ByUsername) else None
