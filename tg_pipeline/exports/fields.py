"""Fields of an export, read without trusting them: a value of another kind counts as absent."""

from collections.abc import Mapping
from typing import Any, TypeGuard

Fields = Mapping[str, Any]

INT32 = 1 << 31
_IDS = 1 << 48
_DIGITS_MOST = 19
"""Of a number that fits into 63 bits."""


def is_id(value: Any) -> TypeGuard[int]:
    """Whether it is a positive number that can be the id of a user or a chat."""
    return type(value) is int and 0 < value < _IDS


def number(fields: Fields, key: str, below: int = INT32) -> int:
    """A whole number from 0 up to `below` (what the wire can carry), else 0."""
    value = fields.get(key)
    return value if type(value) is int and 0 <= value < below else 0


def digits(fields: Fields, key: str, below: int = 1 << 63) -> int:
    """A whole number written as a string or a number, else 0."""
    text = str(fields.get(key) or "")
    return int(text) if text.isdecimal() and len(text) <= _DIGITS_MOST and int(text) < below else 0


def string(fields: Fields, key: str) -> str:
    """A string, else the empty one."""
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def objects(fields: Fields, key: str) -> list[Fields]:
    """The objects of a list."""
    value = fields.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
