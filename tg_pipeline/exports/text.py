"""The text of an exported message, which is a string or a list of pieces."""

from collections.abc import Iterator
from typing import Any

from tg_pipeline.exports.fields import Fields

Part = tuple[str, Fields | None]
"""A piece of a text, and what the export says of it (`type` and more) where it says something."""


def plain_text(value: Any) -> str:
    """The string of a `text` field, whether it is a string or a list of strings and {type, text} objects.

    Raises:
        ValueError: it is neither.
    """
    return value if isinstance(value, str) else "".join(text for text, _ in _parts(value))


def text_and_parts(message: Fields) -> tuple[str, list[Part]]:
    """The text of an exported message, and its pieces in order; none where the text is one string.

    `text_entities` is preferred where it spells the same text: it names every kind, `text` alone does not. Older
    exports have `text` only.

    Raises:
        ValueError: the text is neither a string nor a list of pieces.
    """
    text = plain_text(message.get("text", ""))
    parts = message.get("text_entities")
    if not parts or not _spells(parts, text):
        parts = message.get("text", "")
    return text, [] if isinstance(parts, str) else list(_parts(parts))


def _spells(parts: Any, text: str) -> bool:
    try:
        return "".join(piece for piece, _ in _parts(parts)) == text
    except ValueError:
        return False


def _parts(value: Any) -> Iterator[Part]:
    if not isinstance(value, list):
        raise ValueError("its text is neither a string nor a list")
    for part in value:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise ValueError("a part of its text has no text")
        yield text, part if isinstance(part, dict) else None
