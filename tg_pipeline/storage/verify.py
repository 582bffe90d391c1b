"""The proof of an archive: every file is read again and held to everything that the contract promises."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import zip_longest
from typing import Any

import orjson
from pydantic import ValidationError
from upath import UPath

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.chat import RegisteredChat, Slug, is_slug
from tg_pipeline.contracts.day_file import UNREADABLE, Condition, DayHeader, Message, Participant, describe, moved_to
from tg_pipeline.contracts.day_lines import DayIndex, message_id
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.findings import Finding, FindingKind
from tg_pipeline.contracts.text import count
from tg_pipeline.machine.atomic import is_directory, is_of_a_system, is_temporary, reading
from tg_pipeline.storage.expected import (
    Expected,
    accounts,
    chat_ids,
    high_water,
    known_days,
    missing,
    not_fetched,
    seal,
)
from tg_pipeline.storage.layout import DayReader, chat_directory, day_path, first_problem, open_day_file
from tg_pipeline.storage.progress import FILE_NAME, Progress


def verify_rest(
    archive: Archive, root: UPath, progress: Progress, registered: Iterable[RegisteredChat], *, today: date
) -> Iterator[Finding]:
    """As `Archive.verify_rest`. Hidden names and those of file systems are passed over."""
    if problem := progress.problem():
        yield Finding(None, None, FindingKind.PROGRESS, f"{root / FILE_NAME} cannot be understood: {problem}")
    for path in _entries(root):
        if path.name.startswith(f"{FILE_NAME}.corrupt-"):
            yield Finding(None, None, FindingKind.LEFTOVER, f"{path} was set aside")
        elif is_temporary(path.name) or not (path.name == FILE_NAME or (is_slug(path.name) and is_directory(path))):
            yield _stray(None, path)
    chats = progress.read().chats
    absent = dict.fromkeys(chats) | {entry.slug: entry for entry in registered}
    for slug in sorted(absent.keys() - set(archive.slugs())):
        known = chats.get(slug)
        yield from missing(slug, [], known_days([], known), today)
        yield from not_fetched(slug, absent[slug], known_days([], known))
        yield from high_water(slug, known, {}, whole=True, running=True)


def verify_chat(
    archive: Archive, root: UPath, slug: Slug, expected: Expected, *, on_day: Callable[[date], None] | None = None
) -> Iterator[Finding]:
    """As `Archive.verify_chat`. Reads line by line."""
    today, days, entry = expected.today, expected.days, expected.entry
    yield from _strays(archive, root, slug)
    present = [day for day in archive.days(slug) if days is None or day in days]
    there = days or known_days(present, expected.known)
    yield from missing(slug, present, there, today)
    if days is None:
        yield from not_fetched(slug, entry, there)
    headers: dict[date, DayHeader] = {}
    for day in present:
        yield from verify_day(root, slug, day)
        header = _header(archive, slug, day)
        if header is not None:
            yield from _shared_ids(archive, slug, header, headers)
            headers[day] = header
            yield from seal(slug, day, today, sealed=header.sealed)
        if on_day is not None:
            on_day(day)
    yield from chat_ids(slug, headers, entry.id if entry else None)
    yield from accounts(slug, headers, entry.account if entry else None)
    for asked in expected.interrupted:
        yield Finding(slug, None, FindingKind.INTERRUPTED, f"the fetch of {asked} was cut off")
    yield from high_water(slug, expected.known, headers, whole=days is None, running=bool(expected.interrupted))


def verify_day(root: UPath, slug: Slug, day: date) -> Iterator[Finding]:
    """As `Archive.verify_day`."""
    path = day_path(root, slug, day)
    try:
        with open_day_file(path) as reader:
            if reader is None:
                yield Finding(slug, day, FindingKind.MISSING, f"{path} does not exist")
                return
            for condition in reader.header.conditions:
                yield Finding(slug, day, FindingKind(condition.kind), describe(condition))
            check = _DayCheck(slug, day, reader)
            try:
                check.run()
            finally:
                yield from check.findings()
    except StorageError as error:
        yield Finding(slug, day, FindingKind.DAMAGED, str(error))


class _DayCheck:
    def __init__(self, slug: Slug, day: date, reader: DayReader) -> None:
        self._slug = slug
        self._day = day
        self._reader = reader
        self._index = DayIndex()
        self._found: dict[FindingKind, tuple[str, int]] = {}

    def findings(self) -> Iterator[Finding]:
        for kind, (detail, times) in self._found.items():
            more = f" (and {times - 1} more)" if times > 1 else ""
            yield Finding(self._slug, self._day, kind, detail + more)

    def run(self) -> None:
        """Raises a DayFileError where the file's own hash, counts or layout do not hold."""
        header = self._reader.header
        if (header.chat, header.date) != (self._slug, self._day):
            self._note(FindingKind.HEADER, f"it says that it holds {header.chat} on {header.date}")
        first, last = self._messages()
        if (header.first_message_id, header.last_message_id) != (first, last):
            said = f"{header.first_message_id}..{header.last_message_id}"
            self._note(FindingKind.HEADER, f"it says that its ids are {said}; they are {first}..{last}")
        self._threads()
        self._participants()

    def _note(self, kind: FindingKind, detail: str) -> None:
        first, times = self._found.get(kind, (detail, 0))
        self._found[kind] = (first, times + 1)

    def _messages(self) -> tuple[int | None, int | None]:
        first = None
        last = None
        day = f"{self._day}T"
        for line in self._reader.section("messages"):
            try:
                message = Message.model_validate_json(line)
            except ValidationError as error:
                self._note(FindingKind.SCHEMA, f"{_shown(line, 60)}: {first_problem(error)}")
                continue
            if not message.date.startswith(day):
                self._note(FindingKind.DATE, f"message {message.id} is dated {message.date}")
            if message.chat != self._slug:
                self._note(FindingKind.HEADER, f"message {message.id} belongs to {message.chat}")
            if message.entities:
                self._entities(message)
            if message.action is not None:
                self._action(message.action)
            is_unread = message.type == UNREADABLE and not message.deleted
            if is_unread and all(c.kind != "unreadable" for c in self._reader.header.conditions):
                self._note(FindingKind.UNREADABLE, f"message {message.id}, of which the header says nothing")
            if last is not None and message.id <= last:
                kind = FindingKind.REPEATED if message.id == last else FindingKind.ORDER
                self._note(kind, f"message {message.id} stands after {last}")
            first = message.id if first is None else first
            last = message.id
            self._index.add(message.id, message.__dict__)
        return first, last

    def _action(self, action: Mapping[str, Any]) -> None:
        """That a group moved is reported also where the file is older than the condition."""
        chat_id = moved_to(action)
        if chat_id is not None and all(c.kind != "moved" for c in self._reader.header.conditions):
            self._note(FindingKind.MOVED, describe(Condition(kind="moved", chat_id=chat_id)))

    def _entities(self, message: Message) -> None:
        end = max(entity.offset + entity.length for entity in message.entities)
        # Most texts settle it by their characters, which are never more than their UTF-16 units.
        if end > len(message.text) and end > (units := len(message.text.encode("utf-16-le")) // 2):
            detail = f"an entity of message {message.id} ends at {end}, and its text has {count(units, 'UTF-16 unit')}"
            self._note(FindingKind.ENTITIES, detail)

    def _threads(self) -> None:
        for line, expected in zip_longest(self._reader.section("threads"), self._index.thread_lines()):
            if line != expected and (line is None or expected is None or _json(line) != orjson.loads(expected)):
                self._note(FindingKind.THREADS, f"{_shown(line)} where the messages make it {_shown(expected)}")

    def _participants(self) -> None:
        last = None
        for line in self._reader.section("participants"):
            try:
                someone = Participant.model_validate_json(line)
            except ValidationError as error:
                self._note(FindingKind.SCHEMA, f"{_shown(line, 60)}: {first_problem(error)}")
                continue
            if someone.id not in self._index.authors:
                self._note(FindingKind.PARTICIPANTS, f"{someone.id} wrote nothing on this day")
            if last is not None and someone.id <= last:
                self._note(FindingKind.PARTICIPANTS, f"{someone.id} stands after {last}")
            last = someone.id


def _json(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _shown(line: bytes | None, width: int = 120) -> str:
    if not line:
        return "nothing"
    text = line.decode(errors="replace")
    return text if len(text) <= width else f"{text[:width]}…"


def _header(archive: Archive, slug: Slug, day: date) -> DayHeader | None:
    try:
        return archive.header(slug, day)
    except StorageError:
        return None


def _shared_ids(
    archive: Archive, slug: Slug, header: DayHeader, earlier: Mapping[date, DayHeader]
) -> Iterator[Finding]:
    """Ids that stand in two days. Ids rise with time, so that only days whose ids overlap need a second look."""
    for other in earlier.values():
        low = max(header.first_message_id or 0, other.first_message_id or 0)
        high = min(header.last_message_id or -1, other.last_message_id or -1)
        if low > high:
            continue
        try:
            shared = _ids(archive, slug, header.date, low, high) & _ids(archive, slug, other.date, low, high)
        except (StorageError, ValueError):
            continue
        if shared:
            some = ", ".join(map(str, sorted(shared)[:5]))
            yield Finding(slug, header.date, FindingKind.REPEATED, f"{len(shared)} stand on {other.date} too: {some}")


def _ids(archive: Archive, slug: Slug, day: date, low: int, high: int) -> set[int]:
    return {number for number in map(message_id, archive.lines(slug, day)) if low <= number <= high}


def _strays(archive: Archive, root: UPath, slug: Slug) -> Iterator[Finding]:
    """Whatever lies in the chat's directory and is no day file in its place."""
    ours = {str(day_path(root, slug, day)) for day in archive.days(slug)}
    years = {day_path(root, slug, day).parent for day in archive.days(slug)}
    for path in _entries(chat_directory(root, slug)):
        if (path in years or re.fullmatch(r"\d{4}", path.name)) and is_directory(path):
            yield from (_stray(slug, inner) for inner in _entries(path) if str(inner) not in ours)
        else:
            yield _stray(slug, path)


def _stray(slug: Slug | None, path: UPath) -> Finding:
    if is_temporary(path.name):
        return Finding(slug, None, FindingKind.LEFTOVER, f"{path} was left by a run that was killed")
    return Finding(slug, None, FindingKind.FOREIGN, f"{path} is no part of this archive")


def _entries(directory: UPath) -> list[UPath]:
    """What lies there, without hidden names and those of file systems, but with temporary files of ours."""
    with reading(directory):
        try:
            found = (path for path in directory.iterdir() if is_temporary(path.name) or not is_of_a_system(path.name))
            return sorted(found, key=lambda path: path.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
