"""Messages to store, and ways to store them."""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.days import day_start, utc_text
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.contracts.history import Record
from tg_pipeline.storage.spool import DaySpool

SLUG = "durov"
CHAT_ID = -1001006503122
DAY = date(2025, 3, 14)
NOW = day_start(DAY) + 100_000
LATER = NOW + 3_600


def record(number: int, text: str = "hello", *, day: date = DAY, **fields: Any) -> Record:
    timestamp = day_start(day) + number % 86_400
    body = {
        "id": number,
        "date": utc_text(timestamp),
        "from_id": 77,
        "chat": SLUG,
        "text": text,
        "reply_to": None,
        "views": None,
        "forwards": None,
        "replies_count": None,
        "entities": [],
        "edited": False,
        "edit_date": None,
        "deleted": False,
        "deleted_at": None,
    }
    return Record(number, timestamp, body | fields)


def person(number: int, name: str = "Pavel") -> dict[str, Any]:
    return {"id": number, "kind": "user", "name": name, "username": None}


PEOPLE = {77: person(77)}


def commit(
    store: Archive,
    scratch: Path,
    records: Iterable[Record],
    *,
    day: date = DAY,
    people: dict[int, dict[str, Any]] | None = None,
    sealed: bool = True,
    now: int = NOW,
    page: int = 100,
    **view: Any,
) -> CommittedDay:
    """Read a day afresh, page by page, and commit it."""
    for path in scratch.glob("read.*"):
        path.unlink()
    with DaySpool(scratch, "read") as spool:
        fill(spool, list(records), people=people, page=page)
        return store.commit(SLUG, CHAT_ID, day, spool, sealed=sealed, now=now, **view)


def fill(
    spool: DaySpool, records: Sequence[Record], *, people: dict[int, dict[str, Any]] | None = None, page: int = 100
) -> None:
    for start in range(0, len(records), page):
        spool.append(records[start : start + page], PEOPLE if people is None else people)
