"""The archive as a port: days of chats that are committed whole, read back, listed and verified.

A commit knows two kinds of read: the whole day, which says that what it lacks is gone, and an addition, which says
nothing of the rest. `storage.file_archive` keeps the days as files, `app.archive` opens it;
`tg_pipeline_tests/storage/test_archive.py` is the contract that every implementation passes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import Enum, auto
from typing import Any, Protocol

from tg_pipeline.contracts.chat import RegisteredChat, Slug
from tg_pipeline.contracts.day_file import Condition, DayFile, DayHeader
from tg_pipeline.contracts.day_lines import DayIndex
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.contracts.findings import Finding
from tg_pipeline.contracts.history import Record


class DayRead(Protocol):
    """What was read of a day: its messages, each once."""

    message_count: int
    first_id: int | None
    last_id: int | None
    unreadable: set[int]
    """Ids of the placeholders among the messages."""
    index: DayIndex

    def lines(self) -> Iterator[bytes]:
        """The messages as JSON, ascending by id."""

    def chunks(self) -> Iterator[bytes]:
        """The same in pieces of one or more lines, without the last newline of each."""

    def participants(self) -> dict[int, bytes]:
        """The lines of the authors that Telegram described, by id."""


class Verdict(Enum):
    """What becomes of a day of which messages are lacking."""

    DELETED = auto()
    HELD_BACK = auto()
    UNDECIDED = auto()


Judge = Callable[[date, int, int], Verdict]
"""Given a day, how many of its archived messages a read lacks, and how many it should have found."""


class Archive(Protocol):
    """Days of chats.

    Where a day that is there cannot be understood, every method raises a DayFileError and overwrites nothing. An
    InputError where a slug is none. What cannot be read or written is a StorageError.
    """

    def commit(  # noqa: PLR0913 - the day, what was read of it, and what is known of the read
        self,
        slug: Slug,
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
        """Archive a complete read of the day; merge it with what is there.

        `account` as in the header; `conditions` are those that this read found, in the place of the archived ones.
        Archived messages that the read lacks are kept and marked deleted at `now` (POSIX seconds), except those below
        `first_id` of a condition `not_visible`, and all of them where it names none, and those whose ids the read does
        not cover: a message dated out of the order of the ids may lie elsewhere.

        Where too many are missing to be deletions (ADR 0043), the day is held back: the read adds and deletes nothing,
        unless `accept_deletions` says that they are deletions. `judge` decides that; None judges the day by itself. The
        receipt is `undecided`, and nothing is written, where only the rest of the read decides: commit the day again
        once it has ended. A day that does not say whose it is becomes the account's where it is shown to be, and else
        is held back (ADR 0044). Once sealed, a day stays sealed.

        Raises WrongAccount where the archived day is another account's view; what was there stays.
        """

    def amend(  # noqa: PLR0913 - as of commit
        self,
        slug: Slug,
        chat_id: int,
        day: date,
        records: Sequence[Record],
        participants: Mapping[int, dict[str, Any]],
        *,
        account: int | None = None,
        also: Sequence[Condition] = (),
        decoded: Collection[int] = (),
    ) -> CommittedDay:
        """Add messages. Says nothing about the others, nor seals.

        The conditions `also` take the place of those of their kind; the day keeps its others. Placeholders of the ids
        in `decoded` are removed: their messages are on other days. Raises as `commit` does.
        """

    def seal(self, slug: Slug, day: date, *, sealed: bool) -> CommittedDay | None:
        """Say whether all that was read with the day is archived; None where the day is not there.

        Raises as `commit` does.
        """

    def replace(self, document: DayFile) -> CommittedDay:
        """Archive the day as it is given, in the place of what is there; its `content_sha256` is computed."""

    def advance(self, slug: Slug, day: date, last_id: int) -> None:
        """Note that the day is in flight and was read up to and including `last_id`. Not for every page."""

    def unreadable(self, slug: Slug) -> Sequence[date]:
        """The days that may hold placeholders, ascending."""

    def note_unreadable(self, slug: Slug, days: Iterable[date]) -> None:
        """Note that these days may hold placeholders, and no others."""

    def header(self, slug: Slug, day: date) -> DayHeader | None:
        """What the day says about itself, or None where it is not there. Cheap."""

    def receipt(self, slug: Slug, day: date) -> CommittedDay:
        """As of a commit that changed nothing. A StorageError where the day is not there."""

    def lines(self, slug: Slug, day: date) -> Iterator[bytes]:
        """The messages as JSON, one by one, ascending by id. A StorageError where the day is not there.

        A day that turns out to be damaged raises its DayFileError after the last line at the latest.
        """

    def load(self, slug: Slug, day: date) -> DayFile:
        """The whole day, checked, in the present schema version. A StorageError where it is not there."""

    def count_before(self, slug: Slug, day: date, first_id: int | None) -> int:
        """How many messages below that id, or of any where it is None, the day holds and has not marked deleted."""

    def written_at(self, slug: Slug, day: date) -> float | None:
        """When the day was last written (POSIX s); None where it is not there, or the archive does not know."""

    def days(self, slug: Slug) -> Iterator[date]:
        """The days that are there, ascending."""

    def slugs(self) -> Iterator[Slug]:
        """The chats of which something may be there, in alphabetical order."""

    def where(self, slug: Slug | None = None, day: date | None = None) -> str:
        """Where people find the archive, a chat of it, or a day."""

    def check_writable(self) -> None:
        """A StorageError where nothing can be written."""

    def verify_day(self, slug: Slug, day: date) -> Iterator[Finding]:
        """Everything that is wrong with one day, one finding a kind: the first case and how many there are."""

    def verify_chat(
        self,
        slug: Slug,
        *,
        today: date,
        days: DayRange | None = None,
        entry: RegisteredChat | None = None,
        interrupted: Sequence[DayRange] = (),
        on_day: Callable[[date], None] | None = None,
    ) -> Iterator[Finding]:
        """Everything that is wrong with one chat: all its days, or those of `days`, which must then all be there.

        `today` is the current UTC day: those before it must be sealed, and it must not be. `entry` is what the registry
        says of the chat; `interrupted` are the ranges of which a fetch was cut off. Calls `on_day` after each day.
        """

    def verify_rest(self, registered: Iterable[RegisteredChat] = (), *, today: date) -> Iterator[Finding]:
        """What is wrong beside the chats that are there, and what is known of chats that have no day."""
