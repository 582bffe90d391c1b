"""Whether a chat's archive is what the reading account sees, asked before ids are joined to it (ADR 0044)."""

from collections import deque
from contextlib import suppress
from datetime import date
from typing import Any

import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import UNREADABLE, DayHeader
from tg_pipeline.contracts.days import day_start
from tg_pipeline.contracts.errors import DayFileError, WrongAccount, other_account_hint
from tg_pipeline.contracts.history import PAGE_SIZE, Cursor, History
from tg_pipeline.ingest.background import to_its_end
from tg_pipeline.storage.ownership import anothers, differ


async def confirm_owner(
    history: History, store: Archive, slug: str, *, chat_id: int, accept_deletions: bool = False
) -> None:
    """Raise WrongAccount where the newest day file with messages is another account's view, or may be.

    Costs nothing but the head of a file where the header names the account, and a call where it names none: then a
    message must stand in both, unless the account wrote in this private dialog or `accept_deletions` says that the
    messages were deleted. Raises what `History.page` raises.
    """
    account = history.account
    if account is None:
        return
    header = await to_its_end(_newest, store, slug)
    if header is None or header.chat_id != chat_id:
        return
    owner = header.account
    if owner is not None and owner != account:
        raise WrongAccount(
            f"{slug} is archived as account {owner} sees it, and was to be read with account {account}. "
            f"Nothing was written. {other_account_hint(owner)}"
        )
    if owner is not None:
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


def _newest(store: Archive, slug: str) -> DayHeader | None:
    """The header of the newest day that has messages or says whose view it is. Damaged files are passed over."""
    for day in reversed(list(store.days(slug))):
        with suppress(DayFileError):
            header = store.header(slug, day)
            if header is not None and (header.message_count or header.account is not None):
                return header
    return None


def _last_messages(store: Archive, slug: str, day: date) -> dict[int, dict[str, Any]]:
    """As many as a page holds, by id."""
    return {message["id"]: message for message in map(orjson.loads, deque(store.lines(slug, day), PAGE_SIZE))}
