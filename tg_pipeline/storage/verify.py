"""The proof of an archive: every file is read again and held to everything that the contract promises."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from upath import UPath

from tg_pipeline.contracts.chat import RegisteredChat, Slug, is_slug
from tg_pipeline.contracts.day_file import UNREADABLE, Condition, DayHeader, Message, Participant, describe, moved_to
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.text import count
from tg_pipeline.machine.atomic import is_directory, is_of_a_system, is_temporary, reading
from tg_pipeline.storage.day_index import DayIndex
from tg_pipeline.storage.day_store import DayStore
from tg_pipeline.storage.expected import accounts, chat_ids, high_water, known_days, missing, not_fetched, seal
from tg_pipeline.storage.findings import Finding, FindingKind
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline.storage.layout import DayReader, first_problem, message_id, open_day_file
from tg_pipeline.storage.progress import FILE_NAME, Progress


def verify_root(
    store: DayStore, progress: Progress, registered: Iterable[RegisteredChat] = (), *, today: date
) -> Iterator[Finding]:
    """What lies in the archive beside the chats' directories, and what is known of chats that have none.

    Hidden names and those of file systems are passed over, here as in the chats' directories.
    """
    if problem := progress.problem():
        yield Finding(None, None, FindingKind.PROGRESS, f"{store.root / FILE_NAME} cannot be understood: {problem}")
    for path in _entries(store.root):
        if path.name.startswith(f"{FILE_NAME}.corrupt-"):
            yield Finding(None, None, FindingKind.LEFTOVER, f"{path} was set aside")
        elif is_temporary(path.name) or not (path.name == FILE_NAME or (is_slug(path.name) and is_directory(path))):
            yield _stray(None, path)
    chats = progress.read().chats
    absent = dict.fromkeys(chats) | {entry.slug: entry for entry in registered}
    for slug in sorted(absent.keys() - set(store.slugs())):
        known = chats.get(slug)
        yield from missing(slug, [], known_days([], known), today)
        yield from not_fetched(slug, absent[slug], known_days([], known))
        yield from high_water(slug, known, {}, whole=True, running=True)


def verify(  # noqa: PLR0913 - what is verified, and what it is held to
    store: DayStore,
    progress: Progress,
    slug: Slug,
    *,
    today: date,
    days: DayRange | None = None,
    entry: RegisteredChat | None = None,
    spool_root: Path | None = None,
    on_day: Callable[[date], None] | None = None,
) -> Iterator[Finding]:
    """Everything that is wrong with one chat: all its days, or those of `days`, which must then all be there.

    `today` is the current UTC day: those before it must be sealed, and it must not be. `entry` is what the registry
    says of the chat. `spool_root` shows whether a fetch was interrupted or progress points past the data. Reads line
    by line; calls `on_day` after each day file.
    """
    known = progress.read().chats.get(slug)
    yield from _strays(store, slug)
    present = [day for day in store.days(slug) if days is None or day in days]
    expected = days or known_days(present, known)
    yield from missing(slug, present, expected, today)
    if days is None:
        yield from not_fetched(slug, entry, expected)
    headers: dict[date, DayHeader] = {}
    for day in present:
        yield from verify_day(store, slug, day)
        header = _header(store, slug, day)
        if header is not None:
            yield from _shared_ids(store, slug, header, headers)
            headers[day] = header
            yield from seal(slug, day, today, sealed=header.sealed)
        if on_day is not None:
            on_day(day)
    yield from chat_ids(slug, headers, entry.id if entry else None)
    yield from accounts(slug, headers, entry.account if entry else None)
    interrupted = interrupted_ranges(spool_root, slug) if spool_root else []
    for asked in interrupted:
        yield Finding(slug, None, FindingKind.INTERRUPTED, f"the fetch of {asked} was cut off")
    yield from high_water(slug, known, headers, whole=days is None, running=bool(interrupted))


def verify_day(store: DayStore, slug: Slug, day: date) -> Iterator[Finding]:
    """Everything that is wrong with one day file, one finding a kind: the first case and how many there are."""
    path = store.path(slug, day)
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


def _header(store: DayStore, slug: Slug, day: date) -> DayHeader | None:
    try:
        return store.header(slug, day)
    except StorageError:
        return None


def _shared_ids(store: DayStore, slug: Slug, header: DayHeader, earlier: Mapping[date, DayHeader]) -> Iterator[Finding]:
    """Ids that stand in two days. Ids rise with time, so that only days whose ids overlap need a second look."""
    for other in earlier.values():
        low = max(header.first_message_id or 0, other.first_message_id or 0)
        high = min(header.last_message_id or -1, other.last_message_id or -1)
        if low > high:
            continue
        try:
            shared = _ids(store, slug, header.date, low, high) & _ids(store, slug, other.date, low, high)
        except (StorageError, ValueError):
            continue
        if shared:
            some = ", ".join(map(str, sorted(shared)[:5]))
            yield Finding(slug, header.date, FindingKind.REPEATED, f"{len(shared)} stand on {other.date} too: {some}")


def _ids(store: DayStore, slug: Slug, day: date, low: int, high: int) -> set[int]:
    return {number for number in map(message_id, store.lines(slug, day)) if low <= number <= high}


def _strays(store: DayStore, slug: Slug) -> Iterator[Finding]:
    """Whatever lies in the chat's directory and is no day file in its place."""
    ours = {str(store.path(slug, day)) for day in store.days(slug)}
    years = {store.path(slug, day).parent for day in store.days(slug)}
    for path in _entries(store.root / slug):
        if path in years and is_directory(path):
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
