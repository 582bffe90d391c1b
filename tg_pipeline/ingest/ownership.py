"""Whether a chat's archive is what the reading account sees, asked before ids are joined to it (ADR 0044)."""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from typing import Any

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import UNREADABLE, DayHeader
from tg_pipeline.contracts.days import DayRange, day_start
from tg_pipeline.contracts.errors import DayFileError, WrongAccount, other_account_hint
from tg_pipeline.contracts.history import PAGE_SIZE, Cursor, History
from tg_pipeline.ingest.background import to_its_end
from tg_pipeline.storage.ownership import anothers, differ


async def confirm_owner(
    history: History,
    store: Archive,
    slug: str,
    *,
    chat_id: int,
    days: DayRange | None = None,
    accept_deletions: bool = False,
) -> None:
    """Raise WrongAccount where the newest day file with messages is another account's view, or may be.

    So it does where those nearest to `days`, to whose ids the read is joined, name another account. Costs nothing but
    the heads of files where they name the account, and a call where the newest names none: then a message must stand in
    both, unless the account wrote in this private dialog or `accept_deletions` says that the messages were deleted.
    Raises what `History.page` raises.
    """
    account = history.account
    if account is None:
        return
    header, *near = await to_its_end(_joined_to, store, slug, days)
    for one in (header, *near):
        if one is not None and one.chat_id == chat_id and one.account not in {None, account}:
            raise WrongAccount(
                f"{slug} on {one.date} is archived as account {one.account} sees it, and was to be read with account "
                f"{account}. Nothing was written. {other_account_hint(one.account)}"
            )
    if header is None or header.chat_id != chat_id or header.account is not None:
        return
    known = await to_its_end(_last_messages, store, slug, header.date)
    page = await history.page(Cursor(since=day_start(header.date), after_id=min(known) - 1))
    read = [record for record in page.records() if record.body.get("type") != UNREADABLE]
    both = [(record, known[record.id]) for record in read if record.id in known]
    for record, message in both:
        if differ(message, record.body):
            raise anothers(slug, account, record.id)
    is_author = chat_id > 0 and any(message["from_id"] == account for message in known.values())
    if not (both or is_author or accept_deletions):
        raise WrongAccount(
            f"{slug} on {header.date} does not say whose view it is, and account {account} sees none of its messages. "
            f"Nothing was written. {other_account_hint(None)} "
            "If it is this account's and they were deleted: fetch with --accept-deletions."
        )


def _joined_to(store: Archive, slug: str, days: DayRange | None) -> list[DayHeader | None]:
    """The header of the newest file, of the last one up to the first of `days`, and of the first after them."""
    present = list(store.days(slug))
    found = [_first(store, slug, reversed(present))]
    if days is not None:
        found.append(_first(store, slug, (day for day in reversed(present) if day <= days.first)))
        found.append(_first(store, slug, (day for day in present if day > days.first)))
    return found


def _first(store: Archive, slug: str, days: Iterable[date]) -> DayHeader | None:
    """The first that has messages or says whose view it is. Damaged files are passed over."""
    for day in days:
        with suppress(DayFileError):
            header = store.header(slug, day)
            if header is not None and (header.message_count or header.account is not None):
                return header
    return None


def _last_messages(store: Archive, slug: str, day: date) -> dict[int, dict[str, Any]]:
    """As many as a page holds, by id."""
    return {message["id"]: message for message in map(orjson.loads, deque(store.lines(slug, day), PAGE_SIZE))}
