"""Chats imported from Telegram Desktop exports (`result.json`), of one chat or of a whole account.

`load_export` gives the chats of one export, `exported_world` a world of several.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.exports.errors import ExportError
from tg_pipeline.exports.fields import Fields, is_id, string
from tg_pipeline.exports.reading import CHANNELS, SUPERGROUPS, ParsedChat, ParsedExport, read_export
from tg_pipeline.simulator.world import World
from tg_pipeline.simulator.worlds.draws import derive
from tg_pipeline.simulator.worlds.entities import basic_group, broadcast, supergroup
from tg_pipeline.simulator.worlds.export.chat import ExportedChat
from tg_pipeline.simulator.worlds.export.directory import EXPORT_SEED, Directory, user
from tg_pipeline.simulator.worlds.export.media import Attachments
from tg_pipeline.simulator.worlds.overlay import Overlay

__all__ = ["ExportError", "exported_world", "load_export"]

_SELF_ID = 500_000_001
_PHONE = "9996621234"

log = logging.getLogger(__name__)


def load_export(
    path: Path,
    *,
    clock: Callable[[], float] = time.time,
    timezone: tzinfo | None = None,
) -> list[Overlay]:
    """The chats of one export: `path` is `result.json` or its folder. `timezone` reads dates that are local only.

    The username of a single chat is its folder's name. In a whole-account export, chats go by a slug of their name, or
    by type and id where the name yields none (`personal_chat_4242`); a second chat of a slug has its id appended.

    Raises:
        ExportError: the export cannot be read or served; one sentence names the file and the place.
    """
    return _chats(read_export(path, timezone), clock)


def exported_world(
    paths: Iterable[Path],
    *,
    clock: Callable[[], float] = time.time,
    timezone: tzinfo | None = None,
) -> World:
    """A world of several exports; the account is that of the first whole-account export among them.

    Raises:
        ExportError: as `load_export`; or a chat or a username is in it twice.
    """
    accounts: list[Fields] = []
    chats: dict[int, Overlay] = {}
    origins: dict[str, Path] = {}
    for path in paths:
        export = read_export(path, timezone)
        accounts += [export.account] if export.account else []
        for chat in _chats(export, clock):
            marked_id = utils.get_peer_id(chat.peer)
            if marked_id in chats:
                raise ExportError(f"{path}: chat {marked_id} is in another export, too; serve it once.")
            name = (chat.username or str(marked_id)).lower()
            if name in origins:
                raise ExportError(
                    f"{path}: {origins[name]} already serves a chat as {name!r}; rename one of the folders."
                )
            chats[marked_id] = chat
            origins[name] = path
    return World(chats, _self_user(next(iter(accounts), {})))


def _chats(export: ParsedExport, clock: Callable[[], float]) -> list[Overlay]:
    me = _self_user(export.account or {})
    taken: set[str] = set()
    known: set[int] = set()
    chats: list[Overlay] = []
    for parsed in export.chats:
        username = export.folder.resolve().name if export.account is None else _slug(parsed)
        if username in taken:
            username = f"{username}_{parsed.bare_id}"
        served = {utils.get_peer_id(chat.peer): chat for chat in _served(export.folder, parsed, username, me)}
        if known & served.keys():
            log.warning("The export has chat %d twice; one of them is passed over.", next(iter(known & served.keys())))
            continue
        taken.add(username)
        known |= served.keys()
        chats += (Overlay(chat, clock) for chat in served.values())
    return chats


def _served(folder: Path, parsed: ParsedChat, username: str, me: tl.User) -> list[ExportedChat]:
    directory = Directory(parsed.bare_id, me)
    for record in (*parsed.migrated, *parsed.records):
        directory.learn(record.fields)
    lane = derive(EXPORT_SEED, f"files:{parsed.kind}:{parsed.bare_id}") >> 33 << 32
    entity = _entity(parsed, username)
    if not parsed.migrated or not isinstance(entity, tl.Channel):
        return [ExportedChat(entity, username, parsed.records, directory, Attachments(folder, lane))]
    old = basic_group(entity.id, entity.title, migrated_to=tl.InputChannel(entity.id, entity.access_hash))
    return [
        ExportedChat(
            entity,
            username,
            parsed.records,
            directory,
            Attachments(folder, lane),
            migrated=(old, parsed.migrated[-1].message_id),
        ),
        ExportedChat(old, None, parsed.migrated, directory, Attachments(folder, lane ^ 1 << 32)),
    ]


def _entity(parsed: ParsedChat, username: str) -> tl.Channel | tl.Chat | tl.User:
    title = parsed.name or username
    if parsed.kind in CHANNELS:
        signatures = any("author" in record.fields for record in parsed.records)
        return broadcast(EXPORT_SEED, parsed.bare_id, title, username, signatures=signatures)
    if parsed.kind in SUPERGROUPS:
        forum = any(record.fields.get("action") == "topic_created" for record in parsed.records)
        return supergroup(EXPORT_SEED, parsed.bare_id, title, username, forum=forum)
    if parsed.kind == "private_group":
        return basic_group(parsed.bare_id, title)
    flags: Mapping[str, Any] = {"bot": True, "bot_info_version": 1} if parsed.kind == "bot_chat" else {}
    return user(
        parsed.bare_id, parsed.name, username=username, is_self=parsed.kind == "saved_messages" or None, **flags
    )


def _slug(parsed: ParsedChat) -> str:
    """A valid username: 5 to 32 of a-z, 0-9 and underscore, beginning with a letter (telegram.org/faq)."""
    slug = re.sub(r"[^a-z0-9]+", "_", (parsed.name or "").lower()).strip("_")[:32].rstrip("_")
    return slug if re.fullmatch(r"[a-z][a-z0-9_]{4,}", slug) else f"{parsed.kind}_{parsed.bare_id}"


def _self_user(account: Fields) -> tl.User:
    user_id = account.get("user_id")
    digits = re.sub(r"\D", "", string(account, "phone_number"))
    return user(
        user_id if is_id(user_id) else _SELF_ID,
        string(account, "first_name") or "Exporter",
        last_name=string(account, "last_name") or None,
        phone=digits or _PHONE,
        username=string(account, "username").lstrip("@") or None,
        is_self=True,
    )
