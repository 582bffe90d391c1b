"""Exported text to Telegram's form: one string, and entities counted in UTF-16 code units."""

from collections.abc import Iterator
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.simulator.worlds.export.fields import Fields, digits, is_id, string
from tg_pipeline.simulator.worlds.text import TypeEntity, utf16_length

_SIMPLE: dict[str, TypeEntity] = {
    "bank_card": tl.MessageEntityBankCard,
    "bold": tl.MessageEntityBold,
    "bot_command": tl.MessageEntityBotCommand,
    "cashtag": tl.MessageEntityCashtag,
    "code": tl.MessageEntityCode,
    "email": tl.MessageEntityEmail,
    "hashtag": tl.MessageEntityHashtag,
    "italic": tl.MessageEntityItalic,
    "link": tl.MessageEntityUrl,
    "mention": tl.MessageEntityMention,
    "phone": tl.MessageEntityPhone,
    "spoiler": tl.MessageEntitySpoiler,
    "strikethrough": tl.MessageEntityStrike,
    "underline": tl.MessageEntityUnderline,
}


def plain_text(value: Any) -> str:
    """The string of a `text` field, whether it is a string or a list of strings and {type, text} objects.

    Raises:
        ValueError: it is neither.
    """
    return value if isinstance(value, str) else "".join(text for text, _ in _parts(value))


def text_and_entities(message: Fields) -> tuple[str, list[tl.TypeMessageEntity]]:
    """The text of an exported message and its entities.

    `text_entities` is preferred where it spells the same text: it tells every kind, `text` alone does not. Older
    exports have `text` only.
    """
    text = plain_text(message.get("text", ""))
    parts = message.get("text_entities")
    if not parts or not _spells(parts, text):
        parts = message.get("text", "")
    entities = []
    offset = 0
    for piece, properties in [] if isinstance(parts, str) else _parts(parts):
        length = utf16_length(piece)
        if properties is not None and length and properties.get("type") != "plain":
            entities.append(_entity(properties, offset, length))
        offset += length
    return text, entities


def _spells(parts: Any, text: str) -> bool:
    try:
        return "".join(piece for piece, _ in _parts(parts)) == text
    except ValueError:
        return False


def _parts(value: Any) -> Iterator[tuple[str, Fields | None]]:
    if not isinstance(value, list):
        raise ValueError("its text is neither a string nor a list")
    for part in value:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise ValueError("a part of its text has no text")
        yield text, part if isinstance(part, dict) else None


def _entity(properties: Fields, offset: int, length: int) -> tl.TypeMessageEntity:
    kind = string(properties, "type")
    if kind in _SIMPLE:
        return _SIMPLE[kind](offset, length)
    match kind:
        case "pre":
            return tl.MessageEntityPre(offset, length, language=string(properties, "language"))
        case "text_link":
            return tl.MessageEntityTextUrl(offset, length, url=string(properties, "href"))
        case "mention_name" if is_id(properties.get("user_id")):
            return tl.MessageEntityMentionName(offset, length, user_id=properties["user_id"])
        case "custom_emoji":
            return tl.MessageEntityCustomEmoji(offset, length, document_id=digits(properties, "document_id"))
        case "blockquote":
            return tl.MessageEntityBlockquote(offset, length, collapsed=bool(properties.get("collapsed")) or None)
        case _:
            return tl.MessageEntityUnknown(offset, length)
