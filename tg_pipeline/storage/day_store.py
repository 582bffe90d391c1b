"""The archive of day files: one a chat and UTC day, at a path that follows from these two alone."""

import dataclasses
import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from upath import UPath

from tg_pipeline.contracts.chat import SLUG_PATTERN, SLUG_RULE, is_slug
from tg_pipeline.contracts.day_file import SCHEMA_VERSION, SOURCE, Condition, DayFile, DayHeader
from tg_pipeline.contracts.days import utc_text
from tg_pipeline.contracts.errors import DayFileError, InputError, StorageError, WrongAccount, other_account_hint
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.contracts.history import Record
from tg_pipeline.storage.atomic import is_directory, is_local, make_directory, reading, replace, sweep, writing
from tg_pipeline.storage.day_index import DayIndex
from tg_pipeline.storage.layout import (
    SECTIONS,
    ContentHash,
    DayReader,
    first_problem,
    head_bytes,
    message_id,
    open_day,
    write_day,
)
from tg_pipeline.storage.locks import locked_directory
from tg_pipeline.storage.merge import Merge
from tg_pipeline.storage.parts import DayParts
from tg_pipeline.storage.spool import DaySpool

HELD_BACK_MESSAGES = 10
HELD_BACK_SHARE = 0.5
"""A read that lacks at least so many of a day's messages, and more than this share of them, is held back (ADR 0036)."""

_FILE_NAME = re.compile(r"discussions_\d{4}-\d\d-\d\d\.json")
_YEAR_NAME = re.compile(r"\d{4}")


class DayStore:
    """Day files under `root`, a local directory or any fsspec URL.

    Where a file that is there cannot be understood, every method raises a DayFileError and overwrites nothing.
    """

    def __init__(self, root: UPath) -> None:
        self.root = root
        self._swept: set[str] = set()

    def path(self, slug: str, day: date) -> UPath:
        """`<root>/<slug>/<YYYY>/discussions_<YYYY-MM-DD>.json`. An InputError where `slug` is none."""
        return self._chat_directory(slug) / f"{day.year:04}" / f"discussions_{day}.json"

    def commit(  # noqa: PLR0913 - the day, what was read of it, and what is known of the read
        self,
        slug: str,
        chat_id: int,
        day: date,
        spool: DaySpool | DayParts,
        *,
        sealed: bool,
        now: int,
        account: int | None = None,
        conditions: Sequence[Condition] = (),
        accept_deletions: bool = False,
        missing: int = 0,
        covers: Callable[[int], bool] | None = None,
    ) -> CommittedDay:
        """Make the spool, a complete read of the day, the day file; merge with the one that is there.

        `account` as in the header; `conditions` are those that this read found, in the place of the file's. Archived
        messages that the read lacks are kept and marked deleted at `now` (POSIX seconds), except those below `first_id`
        of a condition `not_visible`, and all of them where it names none, and those whose ids the read does not cover:
        a message dated out of the order of the ids may lie elsewhere. Where too many are missing to be deletions
        (ADR 0036), the day is held back: only the file's conditions change, unless `accept_deletions` says that they
        are deletions. `missing`: how many the whole read lacks, where that is more than this day's. Once sealed, a day
        stays sealed.

        Raises WrongAccount where the file is another account's view, StorageError where the archive cannot be written;
        the file that was there stays.
        """
        with self._writing(slug, day) as path:
            return _put(
                path,
                _Draft(
                    *(slug, chat_id, day, sealed, spool, utc_text(now)),
                    account=account,
                    conditions=conditions,
                    accept_deletions=accept_deletions,
                    missing=missing,
                    covers=covers,
                ),
            )

    def amend(
        self,
        slug: str,
        chat_id: int,
        day: date,
        records: Sequence[Record],
        participants: Mapping[int, dict[str, Any]],
        *,
        account: int | None = None,
        also: Sequence[Condition] = (),
    ) -> CommittedDay:
        """Add messages that turned up after the day had been committed. Says nothing about the others, nor seals.

        The conditions `also` take the place of those of their kind; the file keeps its others.

        Raises as `commit` does.
        """
        with (
            tempfile.TemporaryDirectory() as directory,
            DaySpool(Path(directory), str(day)) as spool,
            self._writing(slug, day) as path,
        ):
            spool.append(records, participants)
            draft = _Draft(slug, chat_id, day, sealed=False, spool=spool, deleted_at=None, account=account, also=also)
            return _put(path, draft)

    def count_before(self, slug: str, day: date, first_id: int | None) -> int:
        """How many messages below that id, or of any where it is None, the file holds and has not marked deleted."""
        with archived(self.path(slug, day)) as reader:
            if reader is None or not reader.header.message_count:
                return 0
            lines = reader.section(SECTIONS[0])
            before = takewhile(lambda line: first_id is None or message_id(line) < first_id, lines)
            return sum(not orjson.loads(line)["deleted"] for line in before)

    def written_at(self, slug: str, day: date) -> float | None:
        """When the day file was last written (POSIX s); None where there is none, or the file system cannot tell."""
        path = self.path(slug, day)
        return path.stat().st_mtime if is_local(path) and path.exists() else None

    def header(self, slug: str, day: date) -> DayHeader | None:
        """What the day file says about itself, or None where there is no file. Reads the head of the file only."""
        with archived(self.path(slug, day)) as reader:
            return reader.header if reader else None

    def lines(self, slug: str, day: date) -> Iterator[bytes]:
        """The messages as JSON, one by one, ascending by id. A StorageError where there is no file.

        A file that turns out to be damaged raises its DayFileError after the last line at the latest.
        """
        with self._existing(slug, day) as reader:
            yield from reader.section(SECTIONS[0])
            for name in SECTIONS[1:]:
                deque(reader.section(name), maxlen=0)

    def load(self, slug: str, day: date) -> DayFile:
        """The whole day, checked, brought to the present schema version. A StorageError where there is no file."""
        with self._existing(slug, day) as reader:
            document = reader.header.model_dump()
            try:
                for name in SECTIONS:
                    document[name] = [orjson.loads(line) for line in reader.section(name)]
                return DayFile.model_validate(document)
            except ValidationError as error:
                raise reader.damaged(first_problem(error)) from None
            except orjson.JSONDecodeError as error:
                raise reader.damaged(str(error)) from None

    def days(self, slug: str) -> Iterator[date]:
        """The days that have a file, ascending."""
        for year in _names(self._chat_directory(slug), _YEAR_NAME):
            for name in _names(self._chat_directory(slug) / year, _FILE_NAME):
                with suppress(ValueError):
                    day = date.fromisoformat(name[len("discussions_") : -len(".json")])
                    if f"{day.year:04}" == year:
                        yield day

    def slugs(self) -> Iterator[str]:
        """The chats that have a directory, in alphabetical order."""
        return (name for name in _names(self.root, SLUG_PATTERN) if is_directory(self.root / name))

    def _chat_directory(self, slug: str) -> UPath:
        if not is_slug(slug):
            raise InputError(f"{slug!r} cannot name a chat's directory: allowed are {SLUG_RULE}.")
        return self.root / slug

    @contextmanager
    def _existing(self, slug: str, day: date) -> Iterator[DayReader]:
        path = self.path(slug, day)
        with archived(path) as reader:
            if reader is None:
                raise StorageError(f"{slug} has no day file for {day}: {path} does not exist.")
            yield reader

    @contextmanager
    def _writing(self, slug: str, day: date) -> Iterator[UPath]:
        """The path, and, on a local file system, the sole right to write in its directory.

        The block's DayFileError is that of the file that was to be written over.
        """
        path = self.path(slug, day)
        directory = path.parent
        with writing(path), ExitStack() as stack:
            alone = False
            if is_local(path):
                make_directory(Path(directory.path))
                alone = stack.enter_context(locked_directory(directory.path))
            if directory.path not in self._swept:
                sweep(directory, alone=alone)
                self._swept.add(directory.path)
            try:
                yield path
            except DayFileError as error:
                raise DayFileError(
                    f"{error} It was left as it was: nothing was added to it. "
                    "Put it back from a backup, or move it away and fetch the day again."
                ) from error


@contextmanager
def archived(path: UPath) -> Iterator[DayReader | None]:
    """The day file at `path`, or None where there is none."""
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(open_day(path))
        except FileNotFoundError:
            reader = None
        yield reader


def _names(directory: UPath, pattern: re.Pattern[str]) -> list[str]:
    with reading(directory):
        try:
            return sorted(path.name for path in directory.iterdir() if pattern.fullmatch(path.name))
        except (FileNotFoundError, NotADirectoryError):
            return []


@dataclass(frozen=True)
class _Draft:
    """What is to become of a day file. `deleted_at` as in Merge; without `conditions` the file keeps its own."""

    slug: str
    chat_id: int
    day: date
    sealed: bool
    spool: DaySpool | DayParts
    deleted_at: str | None
    account: int | None = None
    conditions: Sequence[Condition] | None = None
    also: Sequence[Condition] = ()
    accept_deletions: bool = False
    missing: int = 0
    covers: Callable[[int], bool] | None = None

    def merge(self) -> Merge:
        """A merge with the file, for one pass."""
        hidden = next((c for c in self.conditions or () if c.kind == "not_visible"), None)
        return Merge(self.deleted_at, hidden=hidden, covers=self.covers)


def _put(path: UPath, draft: _Draft) -> CommittedDay:
    """Two passes over spool and file: one to know the header, which comes first, and one to write."""
    spool = draft.spool
    merge = draft.merge()
    content_hash = ContentHash()
    with archived(path) as reader:
        if reader is None:
            content_hash.add(spool.chunks())
            people: dict[int, bytes] = {}
        else:
            _refuse_foreign(reader, draft)
            try:
                content_hash.add(merge.lines(reader.section("messages"), spool.lines()))
                deque(reader.section("threads"), maxlen=0)
                people = {orjson.loads(line)["id"]: line for line in reader.section("participants")}
            except (ValueError, KeyError, TypeError) as error:
                raise reader.damaged(str(error)) from error
        head = reader.head if reader else b""
        found = reader.header if reader else None
    if found is not None and not draft.accept_deletions and _is_implausible(merge, found, draft):
        return _hold_back(path, draft, found, missing=merge.deleted + merge.hidden, head=head)
    index = _index_of_lines(path, draft) if merge.index_is_stale else spool.index.joined(merge.kept)
    people = _described(people, spool.participants())
    participants = [people[number] for number in sorted(people) if number in index.authors]
    threads = list(index.thread_lines())
    content_hash.add(threads)
    content_hash.add(participants)
    ids = [number for number in (spool.first_id, spool.last_id, *merge.kept_ids[:1], *merge.kept_ids[-1:]) if number]
    header = DayHeader(
        schema_version=SCHEMA_VERSION,
        source=SOURCE,
        chat=draft.slug,
        chat_id=draft.chat_id,
        account=draft.account,
        date=draft.day,
        timezone="UTC",
        sealed=draft.sealed or (found is not None and found.sealed),
        message_count=spool.message_count + len(merge.kept_ids),
        first_message_id=min(ids, default=None),
        last_message_id=max(ids, default=None),
        conditions=_conditions(draft, found, merge),
        content_sha256=content_hash.hex(),
    )
    changed = head != head_bytes(header)
    if changed:
        with archived(path) as reader, replace(path) as stream:
            messages = draft.merge().lines(reader.section("messages"), spool.lines()) if reader else spool.chunks()
            write_day(stream, header, (messages, threads, participants))
            size = stream.tell()
    else:
        size = path.stat().st_size
    done = receipt_of(path, header, size_bytes=size, changed=changed)
    return dataclasses.replace(
        done, added=spool.message_count - merge.matched, edited=merge.edited, deleted=merge.deleted
    )


def _described(known: dict[int, bytes], read: dict[int, bytes]) -> dict[int, bytes]:
    """Everybody as first described by a name: a new one does not change old days."""
    named = {number: line for number, line in known.items() if orjson.loads(line)["name"] is not None}
    return known | read | named


def receipt_of(path: UPath, header: DayHeader, *, size_bytes: int, changed: bool) -> CommittedDay:
    """As of a commit that added, edited and deleted nothing."""
    return CommittedDay(
        day=header.date,
        path=str(path),
        message_count=header.message_count,
        first_message_id=header.first_message_id,
        last_message_id=header.last_message_id,
        content_sha256=header.content_sha256,
        sealed=header.sealed,
        size_bytes=size_bytes,
        changed=changed,
        conditions=tuple(header.conditions),
    )


def _conditions(draft: _Draft, found: DayHeader | None, merge: Merge) -> list[Condition]:
    """Those of the read; of messages that are hidden, how many the file has; and the placeholders in it."""
    unreadable = sorted((draft.spool.unreadable - merge.known_ids) | merge.unreadable)
    found_now = [
        Condition(kind="unreadable", count=len(unreadable), first_id=unreadable[0], last_id=unreadable[-1])
        for _ in unreadable[:1]
    ]
    if draft.conditions is None:
        known_anew = {"unreadable", *(c.kind for c in draft.also)}
        return [*(c for c in (found.conditions if found else ()) if c.kind not in known_anew), *found_now, *draft.also]
    return [
        c.model_copy(update={"count": merge.hidden}) if c.kind == "not_visible" and merge.hidden else c
        for c in draft.conditions
    ] + found_now


def _is_implausible(merge: Merge, found: DayHeader, draft: _Draft) -> bool:
    """Whether the read lacks too much of the file to be believed (ADR 0036)."""
    too_many = max(merge.deleted, draft.missing) >= HELD_BACK_MESSAGES
    if too_many and merge.deleted > HELD_BACK_SHARE * (merge.deleted + merge.matched):
        return True
    # A file of version 1.0.0 does not say whose it is: at least one message must show that it is this account's.
    unknown = found.account is None and draft.account is not None
    return unknown and not merge.matched and bool(merge.deleted + merge.hidden) and bool(draft.spool.message_count)


def _hold_back(path: UPath, draft: _Draft, found: DayHeader, *, missing: int, head: bytes) -> CommittedDay:
    """Leave the file as it is, apart from the condition that says so."""
    before = next((c.since for c in found.conditions if c.kind == "held_back"), None)
    held_back = Condition(kind="held_back", count=missing, since=before or draft.deleted_at)
    others = [c for c in found.conditions if c.kind != "held_back"]
    header = found.model_copy(update={"conditions": [*others, held_back]})
    changed = head != head_bytes(header)
    if changed:
        with archived(path) as reader, replace(path) as stream:
            if reader is None:
                raise StorageError(f"{path} was removed while it was read.")
            write_day(stream, header, map(reader.section, SECTIONS))
    return receipt_of(path, header, size_bytes=path.stat().st_size, changed=changed)


def _index_of_lines(path: UPath, draft: _Draft) -> DayIndex:
    """The index of what the day file will hold, in a pass of its own."""
    index = DayIndex()
    with archived(path) as reader:
        old = reader.section("messages") if reader else iter(())
        for line in draft.merge().lines(old, draft.spool.lines()):
            index.add(message_id(line), orjson.loads(line))
    return index


def _refuse_foreign(reader: DayReader, draft: _Draft) -> None:
    found = reader.header
    if (found.chat, found.chat_id, found.date) != (draft.slug, draft.chat_id, draft.day):
        raise reader.damaged(f"it holds {found.chat} ({found.chat_id}) on {found.date}")
    if found.account is not None and found.account != draft.account:
        raise WrongAccount(
            f"{draft.slug} on {draft.day} is archived as account {found.account} sees it, and was read with account "
            f"{draft.account}; the file was left as it was. {other_account_hint(found.account)}"
        )
