"""The proof of an archive: every file is read again and held to everything that the contract promises."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
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
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline.storage.layout import DayReader, archived, first_problem, message_id
from tg_pipeline.storage.progress import FILE_NAME, ChatProgress, Progress


class FindingKind(StrEnum):
    """What can be wrong. Those of WARNINGS leave the archive complete and correct all the same."""

    DAMAGED = "damaged"
    SCHEMA = "schema"
    ORDER = "order"
    REPEATED = "repeated"
    DATE = "date"
    ENTITIES = "entities"
    HEADER = "header"
    THREADS = "threads"
    PARTICIPANTS = "participants"
    MISSING = "missing"
    NOT_FETCHED = "not_fetched"
    UNSEALED = "unsealed"
    NOT_VISIBLE = "not_visible"
    UNREADABLE = "unreadable"
    HELD_BACK = "held_back"
    MOVED = "moved"
    FOREIGN = "foreign"
    REGISTRY = "registry"
    PROGRESS = "progress"
    LEFTOVER = "leftover"
    INTERRUPTED = "interrupted"


WARNINGS = frozenset({FindingKind.LEFTOVER, FindingKind.INTERRUPTED, FindingKind.NOT_VISIBLE, FindingKind.NOT_FETCHED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `slug` and `day` are None where it concerns the archive, or the chat, as a whole."""

    slug: Slug | None
    day: date | None
    kind: FindingKind
    detail: str

    @property
    def is_warning(self) -> bool:
        """Whether the archive is complete and correct all the same."""
        return self.kind in WARNINGS


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
        yield from _missing(slug, [], _known_days([], known), today)
        yield from _not_fetched(slug, absent[slug], _known_days([], known))
        yield from _progress(slug, known, {}, whole=True, running=True)


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
    says of the chat. `spool_root` lets an interrupted fetch be told from progress that points past the data. Reads line
    by line; calls `on_day` after each day file.
    """
    known = progress.read().chats.get(slug)
    yield from _strays(store, slug)
    present = [day for day in store.days(slug) if days is None or day in days]
    expected = days or _known_days(present, known)
    yield from _missing(slug, present, expected, today)
    if days is None:
        yield from _not_fetched(slug, entry, expected)
    headers: dict[date, DayHeader] = {}
    for day in present:
        yield from verify_day(store, slug, day)
        header = _header(store, slug, day)
        if header is not None:
            yield from _shared_ids(store, slug, header, headers)
            headers[day] = header
            yield from _seal(slug, day, today, sealed=header.sealed)
        if on_day is not None:
            on_day(day)
    yield from _chat_ids(slug, headers, entry.id if entry else None)
    yield from _accounts(slug, headers, entry.account if entry else None)
    interrupted = interrupted_ranges(spool_root, slug) if spool_root else []
    for asked in interrupted:
        yield Finding(slug, None, FindingKind.INTERRUPTED, f"the fetch of {asked} was cut off")
    yield from _progress(slug, known, headers, whole=days is None, running=bool(interrupted))


def verify_day(store: DayStore, slug: Slug, day: date) -> Iterator[Finding]:
    """Everything that is wrong with one day file, one finding a kind: the first case and how many there are."""
    path = store.path(slug, day)
    try:
        with archived(path) as reader:
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
            if message.type == UNREADABLE and all(c.kind != "unreadable" for c in self._reader.header.conditions):
                self._note(FindingKind.UNREADABLE, f"message {message.id}, of which the header says nothing")
            if last is not None and message.id <= last:
                kind = FindingKind.REPEATED if message.id == last else FindingKind.ORDER
                self._note(kind, f"message {message.id} stands after {last}")
            first = message.id if first is None else first
            last = message.id
            self._index.add(message.id, message.__dict__)
        return first, last

    def _action(self, action: Mapping[str, Any]) -> None:
        """That a group moved is told also where the file is older than the condition."""
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


def _seal(slug: Slug, day: date, today: date, *, sealed: bool) -> Iterator[Finding]:
    """A day is sealed where, and only where, it is over; one that has not begun has no file."""
    if day > today:
        yield Finding(slug, day, FindingKind.HEADER, f"the day has not begun: today is {today} UTC")
    elif day == today and sealed:
        yield Finding(slug, day, FindingKind.HEADER, "it says that it is sealed, and the day is not over")
    elif day < today and not sealed:
        yield Finding(slug, day, FindingKind.UNSEALED, "the day was not read to its end: fetch it again")


def _chat_ids(slug: Slug, headers: Mapping[date, DayHeader], registered: int | None) -> Iterator[Finding]:
    """One finding for each wrong `chat_id`, on the first day that has it."""
    ids = {day: header.chat_id for day, header in headers.items()}
    yield from _odd_ones(slug, ids, registered, "id", lambda found: f"it says that its chat_id is {found}")


def _accounts(slug: Slug, headers: Mapping[date, DayHeader], registered: int | None) -> Iterator[Finding]:
    """One finding for each wrong `account`, on the first day that has it. Older files name none."""
    accounts = {day: header.account for day, header in headers.items() if header.account is not None}
    yield from _odd_ones(slug, accounts, registered, "account", lambda found: f"it is what account {found} sees")


def _odd_ones(
    slug: Slug, values: Mapping[date, int], registered: int | None, field: str, says: Callable[[int], str]
) -> Iterator[Finding]:
    """The files that differ from the registry or, where none is as the registry says, from most of the others.

    Then it is the registry's entry that is wrong, or the files of another chat lie in the place of this one's.
    """
    days = Counter(values.values())
    if not days:
        return
    usual = days.most_common(1)[0][0]
    right = registered if registered in days else usual
    if registered is not None and registered != right:
        files = f"{'the day file is' if len(values) == 1 else 'the day files are'} those of {usual}"
        detail = f"chats.yaml says that its {field} is {registered}; {files}: correct the entry, or move the files away"
        yield Finding(slug, None, FindingKind.REGISTRY, detail)
    owner = "the registered chat's" if right == registered else "that of most of the other files"
    for value, number in days.items():
        if value != right:
            first = min(day for day, found in values.items() if found == value)
            more = f" (and {number - 1} more)" if number > 1 else ""
            yield Finding(slug, first, FindingKind.HEADER, f"{says(value)}; {owner} is {right}{more}")


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


def _known_days(present: Sequence[date], known: ChatProgress | None) -> DayRange | None:
    """From the first to the last day that has a file, or had one as far as progress tells."""
    recorded = (known.first_day, known.last_day) if known else ()
    days = sorted({*present[:1], *present[-1:], *filter(None, recorded)})
    return DayRange(days[0], days[-1]) if days else None


def _not_fetched(slug: Slug, entry: RegisteredChat | None, days: DayRange | None) -> Iterator[Finding]:
    """That the history of a registered chat begins before its files, or that it has none."""
    if entry is None:
        return
    if days is None:
        detail = f"nothing of it is archived: tg-pipeline fetch {slug} --from DAY"
        yield Finding(slug, entry.start, FindingKind.NOT_FETCHED, detail)
    elif entry.start is not None and entry.start < days.first:
        before = days.first - timedelta(days=1)
        detail = f"the chat begins on {entry.start} and its files on {days.first}: tg-pipeline fetch {slug} "
        detail += f"--from {entry.start} --to {before}, or set its `start` in chats.yaml"
        yield Finding(slug, entry.start, FindingKind.NOT_FETCHED, detail)


def _missing(slug: Slug, present: Iterable[date], days: DayRange | None, today: date) -> Iterator[Finding]:
    """One finding a gap."""
    there = set(present)
    absent = [day for day in days or () if day not in there and day <= today]
    while absent:
        first = absent[0]
        length = next((n for n, day in enumerate(absent) if day != first + timedelta(days=n)), len(absent))
        detail = "has no file" if length == 1 else f"{count(length, 'day')} have no file, up to {absent[length - 1]}"
        yield Finding(slug, first, FindingKind.MISSING, detail)
        del absent[:length]


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


def _progress(
    slug: Slug, chat: ChatProgress | None, headers: Mapping[date, DayHeader], *, whole: bool, running: bool
) -> Iterator[Finding]:
    if chat is None:
        return
    highest = max((header.last_message_id or 0 for header in headers.values()), default=0)
    if whole and (chat.high_water_mark or 0) > highest:
        end = f"the archive ends with {highest}" if highest else "no day file holds a message"
        detail = f"the high-water mark is {chat.high_water_mark}; {end}: fetch the days that are missing, or remove "
        detail += f"{FILE_NAME}, which is rebuilt, where nothing can be missing"
        yield Finding(slug, None, FindingKind.PROGRESS, detail)
    for day, pointer in () if running else chat.days.items():
        header = headers.get(day)
        if (whole or header) and pointer.last_processed_msg_id > ((header and header.last_message_id) or 0):
            detail = f"progress points to message {pointer.last_processed_msg_id}, which the day does not hold"
            yield Finding(slug, day, FindingKind.PROGRESS, detail)
