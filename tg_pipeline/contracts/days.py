"""UTC days and ranges of them. A day is the half-open interval [00:00:00, 24:00:00) UTC."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from tg_pipeline.contracts.errors import InputError

SECONDS_PER_DAY = 86_400
FIRST_DAY = date(2013, 1, 1)
"""No message is older: Telegram began in August 2013."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_TWO_DIGITS = [f"{n:02}" for n in range(60)]


def day_start(day: date) -> int:
    """POSIX seconds of the day's first second."""
    return (day.toordinal() - _EPOCH_ORDINAL) * SECONDS_PER_DAY


def day_end(day: date) -> int:
    """POSIX seconds of the first second after the day."""
    return day_start(day) + SECONDS_PER_DAY


def day_of(timestamp: float) -> date:
    """The UTC day that a POSIX time falls into."""
    return date.fromordinal(_EPOCH_ORDINAL + int(timestamp // SECONDS_PER_DAY))


def utc_text(timestamp: int) -> str:
    """`2025-01-31T23:59:59Z`, the one way times are written in day files. Hot path: runs once a message."""
    minutes, second = divmod(timestamp, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{_day_text(day)}T{_TWO_DIGITS[hour]}:{_TWO_DIGITS[minute]}:{_TWO_DIGITS[second]}Z"


@lru_cache(maxsize=64)
def _day_text(days_since_epoch: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + days_since_epoch).isoformat()


def parse_day(text: str, what: str = "date", *, first: date = FIRST_DAY) -> date:
    """Read `YYYY-MM-DD`, `first` or later; anything else, such as 2025-02-30, is an InputError that names `what`."""
    try:
        if not _DAY.fullmatch(text):  # fromisoformat reads 20250131 and 2025-W05-5 as well
            raise ValueError(text)
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{what}: {text[:40]!r} is not a day. Write a UTC date as YYYY-MM-DD, such as 2025-01-31.",
            field=what,
        ) from None
    if day < first:
        raise InputError(
            f"{what}: {day} is before there was Telegram. The first day that can be read is {first}.", field=what
        )
    return day


@dataclass(frozen=True, slots=True, order=True)
class DayRange:
    """The days first..last, both included. first > last is an InputError."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise InputError(
                f"from {self.first} is after to {self.last}. The range must run forward in time.", field="from"
            )

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"

    def not_in_future(self, today: date) -> "DayRange":
        """The same range; an InputError where it ends after `today` (UTC)."""
        if self.last > today:
            raise InputError(
                f"to {self.last} is in the future. The latest day that can be read is today, {today} UTC.", field="to"
            )
        return self
