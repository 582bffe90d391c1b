"""The archive of day files: one a chat and UTC day, at a path that follows from these two alone."""

import dataclasses
import re
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from upath import UPath

from tg_pipeline.contracts.archive import DayRead, Judge
from tg_pipeline.contracts.chat import SLUG_PATTERN, RegisteredChat
from tg_pipeline.contracts.day_file import Condition, DayFile, DayHeader
from tg_pipeline.contracts.day_lines import encode, message_id
from tg_pipeline.contracts.days import DayRange, utc_text
from tg_pipeline.contracts.errors import DayFileError, StorageError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.contracts.findings import Finding
from tg_pipeline.contracts.history import Record
from tg_pipeline.machine.atomic import (
    check_writable,
    is_directory,
    is_local,
    make_directory,
    reading,
    replace,
    sweep,
    writing,
)
from tg_pipeline.machine.locks import locked_directory
from tg_pipeline.storage.commit import Draft, put, receipt_of, seal
from tg_pipeline.storage.deletions import Deletions
from tg_pipeline.storage.expected import Expected
from tg_pipeline.storage.layout import (
    SECTIONS,
    ContentHash,
    DayReader,
    chat_directory,
    day_path,
    first_problem,
    open_day_file,
    write_day,
)
from tg_pipeline.storage.progress import Progress
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline.storage.verify import verify_chat, verify_day, verify_rest

_FILE_NAME = re.compile(r"discussions_\d{4}-\d\d-\d\d\.json")
_YEAR_NAME = re.compile(r"\d{4}")


class FileArchive:
    """The `Archive` whose days are files under `root`, a local directory or any fsspec URL.

    `lock_dir` as in Progress. The methods of the port are described there.
    """

    def __init__(self, root: UPath, lock_dir: Path | None = None) -> None:
        self.root = root
        self.progress = Progress(root, self, lock_dir)
        self._swept: set[str] = set()

    def path(self, slug: str, day: date) -> UPath:
        """Where the day's file is."""
        return day_path(self.root, slug, day)

    def commit(  # noqa: PLR0913 - the day, what was read of it, and what is known of the read
        self,
        slug: str,
        chat_id: int,
        day: date,
        read: DayRead,
        *,
        sealed: bool,
        now: int,
        account: int | None = None,
        conditions: Sequence[Condition] = (),
        accept_deletions: bool = False,
        judge: Judge | None = None,
        covers: Callable[[int], bool] | None = None,
    ) -> CommittedDay:
        """A complete read of the day."""
        draft = Draft(
            *(slug, chat_id, day, sealed, read, utc_text(now)),
            account=account,
            conditions=conditions,
            accept_deletions=accept_deletions,
            judge=judge or Deletions(ended=True).judge,
            covers=covers,
        )
        with self._writing(slug, day) as path:
            done = put(path, draft)
        return done if done.undecided else self._noted(slug, done)

    def amend(  # noqa: PLR0913 - as of commit
        self,
        slug: str,
        chat_id: int,
        day: date,
        records: Sequence[Record],
        participants: Mapping[int, dict[str, Any]],
        *,
        account: int | None = None,
        also: Sequence[Condition] = (),
        decoded: Collection[int] = (),
    ) -> CommittedDay:
        """An addition to the day."""
        with (
            tempfile.TemporaryDirectory() as directory,
            DaySpool(Path(directory), str(day)) as spool,
            self._writing(slug, day) as path,
        ):
            spool.append(records, participants)
            draft = Draft(slug, chat_id, day, sealed=False, read=spool, deleted_at=None, account=account, also=also)
            done = put(path, dataclasses.replace(draft, decoded=decoded))
        return self._noted(slug, done)

    def seal(self, slug: str, day: date, *, sealed: bool) -> CommittedDay | None:
        """Note whether all of the day is archived."""
        with self._writing(slug, day) as path:
            done = seal(path, sealed=sealed)
        return done and self._noted(slug, done)

    def _noted(self, slug: str, done: CommittedDay) -> CommittedDay:
        self.progress.commit(slug, done.day, done.last_message_id, sealed=done.sealed)
        return done

    def replace(self, document: DayFile) -> CommittedDay:
        """The day as it is given."""
        sections = [
            [encode(record.model_dump(mode="json", exclude_unset=True)) for record in getattr(document, name)]
            for name in SECTIONS
        ]
        content_hash = ContentHash()
        for lines in sections:
            content_hash.add(lines)
        fields = document.model_dump(include=set(DayHeader.model_fields)) | {"content_sha256": content_hash.hex()}
        header = DayHeader.model_validate(fields)
        with self._writing(header.chat, header.date) as path:
            with replace(path) as stream:
                write_day(stream, header, sections)
            done = receipt_of(path, header, size_bytes=path.stat().st_size, changed=True)
        return self._noted(header.chat, done)

    def advance(self, slug: str, day: date, last_id: int) -> None:
        """The day is in flight."""
        self.progress.advance(slug, day, last_id)

    def unreadable(self, slug: str) -> Sequence[date]:
        """As progress knows them."""
        return self.progress.unreadable(slug)

    def note_unreadable(self, slug: str, days: Iterable[date]) -> None:
        """In progress."""
        self.progress.note_unreadable(slug, days)

    def count_before(self, slug: str, day: date, first_id: int | None) -> int:
        """How many messages that are not deleted stand before one."""
        with open_day_file(self.path(slug, day)) as reader:
            if reader is None or not reader.header.message_count:
                return 0
            lines = reader.section(SECTIONS[0])
            before = takewhile(lambda line: first_id is None or message_id(line) < first_id, lines)
            return sum(not orjson.loads(line)["deleted"] for line in before)

    def written_at(self, slug: str, day: date) -> float | None:
        """When the file was last written, of a local archive."""
        path = self.path(slug, day)
        return path.stat().st_mtime if is_local(path) and path.exists() else None

    def header(self, slug: str, day: date) -> DayHeader | None:
        """Reads the head of the file only."""
        with open_day_file(self.path(slug, day)) as reader:
            return reader.header if reader else None

    def receipt(self, slug: str, day: date) -> CommittedDay:
        """What the file says of itself."""
        path = self.path(slug, day)
        with self._existing(slug, day) as reader:
            return receipt_of(path, reader.header, size_bytes=path.stat().st_size, changed=False)

    def lines(self, slug: str, day: date) -> Iterator[bytes]:
        """The messages as JSON, in bounded memory."""
        with self._existing(slug, day) as reader:
            yield from reader.section(SECTIONS[0])
            for name in SECTIONS[1:]:
                deque(reader.section(name), maxlen=0)

    def load(self, slug: str, day: date) -> DayFile:
        """The whole day in memory."""
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
        for year in _names(chat_directory(self.root, slug), _YEAR_NAME):
            for name in _names(chat_directory(self.root, slug) / year, _FILE_NAME):
                with suppress(ValueError):
                    day = date.fromisoformat(name[len("discussions_") : -len(".json")])
                    if f"{day.year:04}" == year:
                        yield day

    def slugs(self) -> Iterator[str]:
        """The chats that have a directory, in alphabetical order."""
        return (name for name in _names(self.root, SLUG_PATTERN) if is_directory(self.root / name))

    def where(self, slug: str | None = None, day: date | None = None) -> str:
        """A path, or a URL."""
        if slug is None:
            return str(self.root)
        return str(chat_directory(self.root, slug) if day is None else self.path(slug, day))

    def check_writable(self) -> None:
        """Creates a file and removes it."""
        check_writable(self.root)

    def verify_day(self, slug: str, day: date) -> Iterator[Finding]:
        """Reads line by line."""
        return verify_day(self.root, slug, day)

    def verify_chat(
        self,
        slug: str,
        *,
        today: date,
        days: DayRange | None = None,
        entry: RegisteredChat | None = None,
        interrupted: Sequence[DayRange] = (),
        on_day: Callable[[date], None] | None = None,
    ) -> Iterator[Finding]:
        """Files, and what else lies in the chat's directory."""
        expected = Expected(self.progress.read().chats.get(slug), today, days, entry, interrupted)
        return verify_chat(self, self.root, slug, expected, on_day=on_day)

    def verify_rest(self, registered: Iterable[RegisteredChat] = (), *, today: date) -> Iterator[Finding]:
        """Passes over hidden names and those of file systems, here as in the chats' directories."""
        return verify_rest(self, self.root, self.progress, registered, today=today)

    @contextmanager
    def _existing(self, slug: str, day: date) -> Iterator[DayReader]:
        path = self.path(slug, day)
        with open_day_file(path) as reader:
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


def _names(directory: UPath, pattern: re.Pattern[str]) -> list[str]:
    with reading(directory):
        try:
            return sorted(path.name for path in directory.iterdir() if pattern.fullmatch(path.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
