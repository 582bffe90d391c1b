"""From a path to the chats that an export describes, checked as far as using them needs.

What is odd in one message or one chat costs that one only: it is passed over, and a warning says what and how many.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import orjson

from tg_pipeline.contracts.text import count
from tg_pipeline.exports.errors import ExportError, LocalDatesError
from tg_pipeline.exports.fields import INT32, Fields, is_id
from tg_pipeline.exports.repair import in_utf8, repair
from tg_pipeline.exports.text import text_and_parts

RESULT = "result.json"
MIGRATED_SHIFT = 1_000_000_000
"""Telegram Desktop lowers the ids of a supergroup's time as a basic group by this much, which makes them negative."""

CHANNELS = ("public_channel", "private_channel")
SUPERGROUPS = ("public_supergroup", "private_supergroup")
DIALOGS = ("personal_chat", "bot_chat", "saved_messages", "replies", "verify_codes", "verification_codes")
TYPES = (*CHANNELS, *SUPERGROUPS, "private_group", *DIALOGS)
MESSAGE_TYPES = ("message", "service", "unsupported")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One exported message with what places it: its id and its date in POSIX seconds."""

    message_id: int
    timestamp: int
    fields: Fields


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
    chats = [chat for exported in lists if isinstance(exported, list) for chat in exported]
    if not any(isinstance(exported, list) for exported in lists):
        raise ExportError(f"{file} is not a Telegram Desktop export: it has neither messages nor a list of chats.")
    account = content.get("personal_information")
    return ParsedExport(
        file.parent, list(_readable(file, chats, timezone)), account if isinstance(account, dict) else {}
    )


def _readable(file: Path, chats: Iterable[Any], timezone: tzinfo | None) -> Iterator[ParsedChat]:
    """Every chat that can be served. The others are passed over, each reason with how often it was met."""
    refused: Counter[str] = Counter()
    for chat in chats:
        try:
            yield _chat(file, chat, timezone)
        except LocalDatesError:
            raise
        except ExportError as error:
            refused[str(error)] += 1
    for reason, times in refused.items():
        log.warning("Passed over: %s. The reason: %s", count(times, "chat"), reason)


def _result_file(path: Path) -> Path:
    file = path / RESULT if path.is_dir() else path
    if file.exists():
        return file
    if (path / "messages.html").exists():
        raise ExportError(f"{path} is an export in HTML; export the chat again with the format JSON.")
    raise ExportError(f"{file} does not exist; a Telegram Desktop export in the format JSON has that file.")


def _parse(file: Path) -> Any:
    try:
        data = in_utf8(file.read_bytes())
    except OSError as error:
        raise ExportError(f"{file} cannot be read: {error.strerror}.") from error
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        repaired = repair(data)
    try:
        content = orjson.loads(repaired.text)
    except orjson.JSONDecodeError as error:
        position = repaired.position(len(error.doc[: error.pos].encode()))
        raise ExportError(f"{file} {_fault(data, position)}") from error
    log.warning("%s holds what JSON does not allow; repaired: %s.", file, count(repaired.count, "escape or character"))
    return content


def _fault(data: bytes, position: int) -> str:
    """What is wrong with a file that does not parse beyond `position`."""
    if not data.strip():
        return "is empty."
    cut_off = f"is cut off at byte {len(data)}; export the chat again."
    if data.lstrip().startswith(b"{") and not data.rstrip().endswith(b"}"):
        return cut_off
    try:
        data.decode()
    except UnicodeDecodeError as undecodable:
        return f"is not UTF-8 at byte {undecodable.start}."
    return cut_off if position >= len(data) else f"is not JSON at byte {position}."


def _chat(file: Path, chat: Any, timezone: tzinfo | None) -> ParsedChat:
    """The chat, without messages that cannot be served. An ExportError where none of it can."""
    if not isinstance(chat, dict) or not isinstance(chat.get("messages"), list):
        raise ExportError(f"{file} is not a Telegram Desktop export: a chat in it has no list of messages.")
    name, bare_id, kind = chat.get("name"), chat.get("id"), chat.get("type")
    if kind not in TYPES:
        raise ExportError(f"{file}: chats of the type {kind!r} are not known; known are {', '.join(TYPES)}.")
    if not is_id(bare_id):
        raise ExportError(f"{file}: chat {name!r} has the id {bare_id!r}; it must be a positive number.")
    ordered = _records(f"{file}: chat {name!r}", chat["messages"], timezone)
    migrated = [_unshifted(record) for record in ordered if record.message_id < 0]
    return ParsedChat(kind, bare_id, name if isinstance(name, str) else None, ordered[len(migrated) :], migrated)


def _records(place: str, messages: Iterable[Any], timezone: tzinfo | None) -> list[Record]:
    """The messages that can be served, ascending by id. A LocalDatesError where none can, for want of a time zone."""
    records: dict[int, Record] = {}
    refused: list[ExportError] = []
    for position, message in enumerate(messages, start=1):
        try:
            record = _record(place, position, message, timezone)
            if record.message_id in records:
                raise ExportError(f"{place} has message {record.message_id} twice.")
        except ExportError as error:
            refused.append(error)
        else:
            records[record.message_id] = record
    # An old export has local dates only, which one option makes readable. Among other dates, one such is an odd one.
    if refused and not records and all(isinstance(error, LocalDatesError) for error in refused):
        raise refused[0]
    if refused:
        log.warning("Passed over: %s. The first: %s", count(len(refused), "message"), refused[0])
    unknown = Counter(str(record.fields.get("type"))[:40] for record in records.values())
    for kind_of_message in set(unknown) - {*MESSAGE_TYPES}:
        log.warning(
            "%s has %s of the unknown type %r; what is known of them is served.",
            *(place, count(unknown[kind_of_message], "message"), kind_of_message),
        )
    return [records[message_id] for message_id in sorted(records)]


def _record(place: str, position: int, message: Any, timezone: tzinfo | None) -> Record:
    where = f"{place}, message {position} of the list"
    if not isinstance(message, dict):
        raise ExportError(f"{where} is not an object.")
    message_id = message.get("id")
    if type(message_id) is not int or not -MIGRATED_SHIFT < message_id < INT32 or message_id == 0:
        raise ExportError(f"{where} has the id {message_id!r}; Telegram gives none such.")
    where = f"{place}, message {message_id}"
    try:
        text_and_parts(message)
    except ValueError as error:
        raise ExportError(f"{where}: {error}.") from error
    return Record(message_id, _timestamp(where, message, timezone), message)


def _timestamp(place: str, message: Fields, timezone: tzinfo | None) -> int:
    digits = str(message.get("date_unixtime", ""))
    if digits.isdecimal() and digits.isascii() and len(digits) <= len(str(INT32)) and int(digits) < INT32:
        return int(digits)
    try:
        local = datetime.fromisoformat(str(message.get("date")))
        timestamp = int(local.replace(tzinfo=timezone or UTC).timestamp())
    except (ValueError, OverflowError):
        raise ExportError(f"{place} has no date.") from None
    if not 0 <= timestamp < INT32:
        raise ExportError(f"{place} has the date {message['date']}, which Telegram cannot give.")
    if timezone is None:
        raise LocalDatesError(
            f"{place} has only a local date ({message['date']}); name the time zone it was made in, "
            "such as --timezone Europe/Berlin.",
        )
    return timestamp


def _unshifted(record: Record) -> Record:
    """A record of a supergroup's time as a basic group, with the ids it had then."""
    references = ("reply_to_message_id", "message_id")
    targets = {key: record.fields[key] for key in references if isinstance(record.fields.get(key), int)}
    true = {key: target + MIGRATED_SHIFT for key, target in targets.items() if target < 0}
    return Record(record.message_id + MIGRATED_SHIFT, record.timestamp, {**record.fields, **true})
