"""From a path to the chats that an export describes, checked as far as serving them needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from tg_pipeline.simulator.worlds.export.chat import Record
from tg_pipeline.simulator.worlds.export.errors import ExportError
from tg_pipeline.simulator.worlds.export.fields import INT32, Fields
from tg_pipeline.simulator.worlds.export.text import text_and_entities

RESULT = "result.json"
MIGRATED_SHIFT = 1_000_000_000
"""Telegram Desktop lowers the ids of a supergroup's time as a basic group by this much, which makes them negative."""

CHANNELS = ("public_channel", "private_channel")
SUPERGROUPS = ("public_supergroup", "private_supergroup")
DIALOGS = ("personal_chat", "bot_chat", "saved_messages", "replies", "verify_codes")
TYPES = (*CHANNELS, *SUPERGROUPS, "private_group", *DIALOGS)


@dataclass(frozen=True)
class ParsedChat:
    """One chat of an export. `migrated` are the records of its time as a basic group, under their true ids."""

    kind: str
    bare_id: int
    name: str | None
    records: list[Record]
    migrated: list[Record]


@dataclass(frozen=True)
class ParsedExport:
    """One result.json. `account` is its personal information; None for the export of a single chat."""

    folder: Path
    chats: list[ParsedChat]
    account: Fields | None


def read_export(path: Path, timezone: tzinfo | None) -> ParsedExport:
    """Read `path`, which is result.json or the folder that holds it.

    Raises:
        ExportError: it cannot be read, or is no export.
    """
    file = _result_file(path)
    content = _parse(file)
    if not isinstance(content, dict):
        raise ExportError(f"{file} is not a Telegram Desktop export: it holds no JSON object.")
    if "messages" in content:
        return ParsedExport(file.parent, [_chat(file, content, timezone)], None)
    lists = [content[key].get("list") for key in ("chats", "left_chats") if isinstance(content.get(key), dict)]
    if not lists or not all(isinstance(chats, list) for chats in lists):
        raise ExportError(f"{file} is not a Telegram Desktop export: it has neither messages nor a list of chats.")
    chats = [_chat(file, chat, timezone) for exported in lists for chat in exported]
    account = content.get("personal_information")
    return ParsedExport(file.parent, chats, account if isinstance(account, dict) else {})


def _result_file(path: Path) -> Path:
    file = path / RESULT if path.is_dir() else path
    if file.exists():
        return file
    if (path / "messages.html").exists():
        raise ExportError(f"{path} is an export in HTML; export the chat again with the format JSON.")
    raise ExportError(f"{file} does not exist; a Telegram Desktop export in the format JSON has that file.")


def _parse(file: Path) -> Any:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ExportError(f"{file} cannot be read: {error.strerror}.") from error
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ExportError(f"{file} {_fault(data, error)}") from error


def _fault(data: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with a file that does not parse."""
    if not data.strip():
        return "is empty."
    cut_off = f"is cut off at byte {len(data)}; export the chat again."
    if data.lstrip().startswith(b"{") and not data.rstrip().endswith(b"}"):
        return cut_off
    try:
        data.decode()
    except UnicodeDecodeError as undecodable:
        return f"is not UTF-8 at byte {undecodable.start}."
    if error.pos >= len(error.doc):
        return cut_off
    return f"is not JSON at byte {len(error.doc[: error.pos].encode())}."


def _chat(file: Path, chat: Any, timezone: tzinfo | None) -> ParsedChat:
    if not isinstance(chat, dict) or not isinstance(chat.get("messages"), list):
        raise ExportError(f"{file} is not a Telegram Desktop export: a chat in it has no list of messages.")
    name, bare_id, kind = chat.get("name"), chat.get("id"), chat.get("type")
    if kind not in TYPES:
        raise ExportError(f"{file}: chat {name!r} has the type {kind!r}; known are {', '.join(TYPES)}.")
    if not isinstance(bare_id, int) or bare_id <= 0:
        raise ExportError(f"{file}: chat {name!r} has the id {bare_id!r}; it must be a positive number.")
    records = sorted(_records(file, name, chat["messages"], timezone), key=lambda record: record.message_id)
    for before, after in pairwise(records):
        if before.message_id == after.message_id:
            raise ExportError(f"{file}: chat {name!r} has message {after.message_id} twice.")
    migrated = [_unshifted(record) for record in records if record.message_id < 0]
    return ParsedChat(kind, bare_id, name if isinstance(name, str) else None, records[len(migrated) :], migrated)


def _records(file: Path, name: Any, messages: Iterable[Any], timezone: tzinfo | None) -> Iterator[Record]:
    for position, message in enumerate(messages, start=1):
        place = f"{file}: chat {name!r}, message {position} of the list"
        if not isinstance(message, dict):
            raise ExportError(f"{place} is not an object.")
        message_id = message.get("id")
        if not isinstance(message_id, int) or not -MIGRATED_SHIFT < message_id < INT32 or message_id == 0:
            raise ExportError(f"{place} has the id {message_id!r}; Telegram gives none such.")
        place = f"{file}: chat {name!r}, message {message_id}"
        try:
            text_and_entities(message)
        except ValueError as error:
            raise ExportError(f"{place}: {error}.") from error
        yield Record(message_id, _timestamp(place, message, timezone), message)


def _timestamp(place: str, message: Fields, timezone: tzinfo | None) -> int:
    digits = str(message.get("date_unixtime", ""))
    if digits.isdecimal() and digits.isascii() and int(digits) < INT32:
        return int(digits)
    try:
        local = datetime.fromisoformat(str(message.get("date")))
    except ValueError:
        raise ExportError(f"{place} has no date.") from None
    if timezone is None:
        raise ExportError(
            f"{place} has only a local date ({message['date']}); name the time zone it was made in, "
            "such as --timezone Europe/Berlin.",
        )
    return int(local.replace(tzinfo=timezone).timestamp())


def _unshifted(record: Record) -> Record:
    """A record of a supergroup's time as a basic group, with the ids it had then."""
    references = ("reply_to_message_id", "message_id")
    targets = {key: record.fields[key] for key in references if isinstance(record.fields.get(key), int)}
    true = {key: target + MIGRATED_SHIFT for key, target in targets.items() if target < 0}
    return Record(record.message_id + MIGRATED_SHIFT, record.timestamp, {**record.fields, **true})
