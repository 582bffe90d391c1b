"""Exports written by hand."""

from collections.abc import Mapping
from typing import Any


def chat(*messages: Mapping[str, Any], kind: str = "public_channel", bare_id: int = 1_234_567_890) -> dict[str, Any]:
    """The export of one chat."""
    return {"name": "My chat", "type": kind, "id": bare_id, "messages": list(messages)}


def message(number: int = 1, text: Any = "hello", /, **fields: Any) -> dict[str, Any]:
    """An exported message, one second later for each id; a field of None is left out."""
    base = {
        "id": number,
        "type": "message",
        "date": "2024-05-01T12:00:00",
        "date_unixtime": str(1_714_557_600 + number),
        "from": "Ana",
        "from_id": "user42",
        "text": text,
    }
    return {key: value for key, value in {**base, **fields}.items() if value is not None}


def service(number: int, action: str, /, **fields: Any) -> dict[str, Any]:
    """An exported service message."""
    return message(
        number,
        "",
        type="service",
        action=action,
        actor="Ana",
        actor_id="user42",
        **{"from": None, "from_id": None, **fields},
    )


def account(*chats: dict[str, Any], **others: Any) -> dict[str, Any]:
    """The export of an account."""
    me = {"user_id": 42, "first_name": "Ana", "last_name": "Silva", "phone_number": "+351 555 0101", "username": "@ana"}
    return {"about": "…", "personal_information": me, "chats": {"about": "…", "list": list(chats)}, **others}
