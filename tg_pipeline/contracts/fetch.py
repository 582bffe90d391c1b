"""What a fetch is asked, says while it runs, and reports when it is done."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from operator import itemgetter

from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.meter import CallMeter


@dataclass(frozen=True, slots=True)
class CommittedDay:
    """One day file as it stands after a commit. Counts compare it with the file that was there before.

    `conditions` are those of the file's header. `undecided`: the file is not written yet, because only the rest of the
    read decides whether what it lacks of the day was deleted.
    """

    day: date
    path: str
    message_count: int
    first_message_id: int | None
    last_message_id: int | None
    content_sha256: str
    sealed: bool
    size_bytes: int
    added: int = 0
    edited: int = 0
    deleted: int = 0
    changed: bool = True
    conditions: tuple[Condition, ...] = ()
    undecided: bool = False


@dataclass(slots=True)
class FetchReport:
    """A range read to its end.

    `days` are those committed by this call, in the order they were finished; `resumed_days` were committed by an
    earlier, interrupted call of the same request and were not read again; `resumed_not_visible` are those of them that
    the account of that call could not see fully. `messages` counts what was read now,
    `repeated` the ids that a page repeated and were not taken twice, `rereads` the pages read again because of that,
    `unreadable` the messages that could not be decoded. `moved_from` is the marked id of the basic group that the
    supergroup was, where the range begins before it became one. `empty` counts the ids of which Telegram answered
    nothing but the id (`messageEmpty`), as it may of messages that were deleted.
    """

    slug: str
    chat_id: int
    range: DayRange
    days: list[CommittedDay] = field(default_factory=list)
    resumed_days: list[date] = field(default_factory=list)
    resumed_not_visible: list[date] = field(default_factory=list)
    messages: int = 0
    pages: int = 0
    repeated: int = 0
    rereads: int = 0
    splits: int = 0
    unreadable: int = 0
    moved_from: int | None = None
    empty: int = 0
    duration_seconds: float = 0.0
    meter: CallMeter = field(default_factory=CallMeter)

    def rewrote(self, amended: CommittedDay) -> None:
        """Note that a day's file was written again. A day that was not committed by this call stays unmentioned."""
        self.days = [
            replace(
                amended,
                added=day.added + amended.added,
                edited=day.edited + amended.edited,
                deleted=day.deleted + amended.deleted,
                changed=day.changed or amended.changed,
            )
            if day.day == amended.day
            else day
            for day in self.days
        ]

    def with_condition(self, kind: str) -> list[tuple[date, Condition]]:
        """The days committed by this call that have such a condition, ascending."""
        return sorted(((d.day, c) for d in self.days for c in d.conditions if c.kind == kind), key=itemgetter(0))


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """A moment of a running fetch, for progress bars and events. `committed` is set when a day was just finished."""

    days_done: int
    days_total: int
    messages: int
    calls: int
    committed: CommittedDay | None = None


OnProgress = Callable[[FetchProgress], None]
"""Called on the event loop: after every page, and after every committed day. Must return quickly."""
