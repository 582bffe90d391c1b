"""The archive of day files: one a chat and UTC day, at a path that follows from these two alone."""

import dataclasses
import re
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from upath import UPath

from tg_pipeline.contracts.chat import SLUG_PATTERN, SLUG_RULE, is_slug
from tg_pipeline.contracts.day_file import Condition, DayFile, DayHeader
from tg_pipeline.contracts.days import utc_text
from tg_pipeline.contracts.errors import DayFileError, InputError, StorageError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.contracts.history import Record
from tg_pipeline.machine.atomic import is_directory, is_local, make_directory, reading, sweep, writing
from tg_pipeline.machine.locks import locked_directory
from tg_pipeline.storage.commit import Draft, put, receipt_of, seal
from tg_pipeline.storage.layout import SECTIONS, DayReader, first_problem, message_id, open_day_file
from tg_pipeline.storage.losses import Losses
from tg_pipeline.storage.parts import DayParts
from tg_pipeline.storage.spool import DaySpool

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
        losses: Losses | None = None,
        covers: Callable[[int], bool] | None = None,
    ) -> CommittedDay:
        """Make the spool, a complete read of the day, the day file; merge with the one that is there.

        `account` as in the header; `conditions` are those that this read found, in the place of the file's. Archived
        messages that the read lacks are kept and marked deleted at `now` (POSIX seconds), except those below `first_id`
        of a condition `not_visible`, and all of them where it names none, and those whose ids the read does not cover:
        a message dated out of the order of the ids may lie elsewhere. Where too many are missing to be deletions
        (ADR 0043), the day is held back: the read adds to the file and deletes nothing, unless `accept_deletions` says
        that they are deletions. `losses` judges that by all days of the read, of which this may be the whole; the
        receipt is `undecided`, and nothing is written, where only the rest of the read decides: commit the day again
        once it has ended. A file that does not say whose it is becomes the account's where it is shown to be, and
        else is held
        back (ADR 0044). Once sealed, a day stays sealed.

        Raises WrongAccount where the file is another account's view, StorageError where the archive cannot be written;
        the file that was there stays.
        """
        with self._writing(slug, day) as path:
            return put(
                path,
                Draft(
                    *(slug, chat_id, day, sealed, spool, utc_text(now)),
                    account=account,
                    conditions=conditions,
                    accept_deletions=accept_deletions,
                    losses=losses or Losses(ended=True),
                    covers=covers,
                ),
            )

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
        """Add messages that turned up after the day had been committed. Says nothing about the others, nor seals.

        The conditions `also` take the place of those of their kind; the file keeps its others. Placeholders of the ids
        in `decoded` are removed: their messages are on other days.

        Raises as `commit` does.
        """
        with (
            tempfile.TemporaryDirectory() as directory,
            DaySpool(Path(directory), str(day)) as spool,
            self._writing(slug, day) as path,
        ):
            spool.append(records, participants)
            draft = Draft(slug, chat_id, day, sealed=False, spool=spool, deleted_at=None, account=account, also=also)
            return put(path, dataclasses.replace(draft, decoded=decoded))

    def seal(self, slug: str, day: date, *, sealed: bool) -> CommittedDay | None:
        """Say in the day file whether all that was read with the day is archived; None where there is no file.

        Raises as `commit` does.
        """
        with self._writing(slug, day) as path:
            return seal(path, sealed=sealed)

    def count_before(self, slug: str, day: date, first_id: int | None) -> int:
        """How many messages below that id, or of any where it is None, the file holds and has not marked deleted."""
        with open_day_file(self.path(slug, day)) as reader:
            if reader is None or not reader.header.message_count:
                return 0
            lines = reader.section(SECTIONS[0])
            before = takewhile(lambda line: first_id is None or message_id(line) < first_id, lines)
            return sum(not orjson.loads(line)["deleted"] for line in before)

    def written_at(self, slug: str, day: date) -> float | None:
        """When the day file was last written (POSIX s); None where there is none, or the file system does not say."""
        path = self.path(slug, day)
        return path.stat().st_mtime if is_local(path) and path.exists() else None

    def header(self, slug: str, day: date) -> DayHeader | None:
        """What the day file says about itself, or None where there is no file. Reads the head of the file only."""
        with open_day_file(self.path(slug, day)) as reader:
            return reader.header if reader else None

    def receipt(self, slug: str, day: date) -> CommittedDay:
        """As of a commit that changed nothing: what the file says of itself. A StorageError where there is none."""
        path = self.path(slug, day)
        with self._existing(slug, day) as reader:
            return receipt_of(path, reader.header, size_bytes=path.stat().st_size, changed=False)

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
