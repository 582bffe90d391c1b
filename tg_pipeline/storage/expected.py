"""An archive against what is known of it elsewhere: the registry, `progress.json` and the calendar."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tg_pipeline.contracts.chat import RegisteredChat, Slug
from tg_pipeline.contracts.day_file import DayHeader
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.findings import Finding, FindingKind
from tg_pipeline.contracts.text import count
from tg_pipeline.storage.progress import FILE_NAME, ChatProgress


@dataclass(frozen=True, slots=True)
class Expected:
    """What a chat's days are held to, as in `Archive.verify_chat`; `known` is what `progress.json` says of the chat."""

    known: ChatProgress | None
    today: date
    days: DayRange | None = None
    entry: RegisteredChat | None = None
    interrupted: Sequence[DayRange] = ()


def seal(slug: Slug, day: date, today: date, *, sealed: bool) -> Iterator[Finding]:
    """A day is sealed where, and only where, it is over; one that has not begun has no file."""
    if day > today:
        yield Finding(slug, day, FindingKind.HEADER, f"the day has not begun: today is {today} UTC")
    elif day == today and sealed:
        yield Finding(slug, day, FindingKind.HEADER, "it says that it is sealed, and the day is not over")
    elif day < today and not sealed:
        detail = "the day was not read to its end, or messages found among its own are not archived: fetch it again"
        yield Finding(slug, day, FindingKind.UNSEALED, detail)


def chat_ids(slug: Slug, headers: Mapping[date, DayHeader], registered: int | None) -> Iterator[Finding]:
    """One finding for each wrong `chat_id`, on the first day that has it."""
    ids = {day: header.chat_id for day, header in headers.items()}
    yield from _odd_ones(slug, ids, registered, "id", lambda found: f"it says that its chat_id is {found}")


def accounts(slug: Slug, headers: Mapping[date, DayHeader], registered: int | None) -> Iterator[Finding]:
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


def known_days(present: Sequence[date], known: ChatProgress | None) -> DayRange | None:
    """From the first to the last day that has a file, or had one according to progress."""
    recorded = (known.first_day, known.last_day) if known else ()
    days = sorted({*present[:1], *present[-1:], *filter(None, recorded)})
    return DayRange(days[0], days[-1]) if days else None


def not_fetched(slug: Slug, entry: RegisteredChat | None, days: DayRange | None) -> Iterator[Finding]:
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


def missing(slug: Slug, present: Iterable[date], days: DayRange | None, today: date) -> Iterator[Finding]:
    """One finding a gap."""
    there = set(present)
    absent = [day for day in days or () if day not in there and day <= today]
    while absent:
        first = absent[0]
        length = next((n for n, day in enumerate(absent) if day != first + timedelta(days=n)), len(absent))
        detail = "has no file" if length == 1 else f"{count(length, 'day')} have no file, up to {absent[length - 1]}"
        yield Finding(slug, first, FindingKind.MISSING, detail)
        del absent[:length]


def high_water(
    slug: Slug, chat: ChatProgress | None, headers: Mapping[date, DayHeader], *, whole: bool, running: bool
) -> Iterator[Finding]:
    """That `progress.json` knows of messages that no file holds."""
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
