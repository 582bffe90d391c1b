"""Exported text to Telegram's form: one string, and entities counted in UTF-16 code units."""

from telethon.tl import types as tl

from tg_pipeline.exports.fields import Fields, digits, is_id, string
from tg_pipeline.exports.text import text_and_parts
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


def text_and_entities(message: Fields) -> tuple[str, list[tl.TypeMessageEntity]]:
    """The text of an exported message and its entities. Raises as `text_and_parts`."""
    text, parts = text_and_parts(message)
    entities = []
    offset = 0
    for piece, properties in parts:
        length = utf16_length(piece)
        if properties is not None and length and properties.get("type") != "plain":
            entities.append(_entity(properties, offset, length))
        offset += length
    return text, entities


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
