"""Whose view a day file is, where its header does not say it: ids that an account numbers itself say it (ADR 0044)."""

from typing import Any

from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.errors import WrongAccount, other_account_hint


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two messages of one id cannot be the same: neither the date nor the user who sent it ever changes.

    What could not be decoded has a date that is guessed, and says nothing.
    """
    if UNREADABLE in {one.get("type"), other.get("type")}:
        return False
    authors = (one["from_id"] or 0, other["from_id"] or 0)
    return bool(one["date"] != other["date"] or (min(authors) > 0 and authors[0] != authors[1]))


def anothers(what: str, account: int, message_id: int) -> WrongAccount:
    """The error that `what` is not the view of `account`, for which that id is another message."""
    return WrongAccount(
        f"{what} is archived as another account sees it: message {message_id} is another one for account {account}, "
        f"which read it. Nothing was written. {other_account_hint(None)}"
    )
