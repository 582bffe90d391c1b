"""Texts with entities. Telegram counts offsets and lengths in UTF-16 code units, not in characters."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from telethon.tl import types as tl

LONGEST = 4096
"""The longest text that Telegram accepts, in characters."""

TypeEntity = Callable[[int, int], tl.TypeMessageEntity]
"""Makes an entity from offset and length in UTF-16 code units."""


def utf16_length(text: str) -> int:
    """Code units: characters beyond the basic plane (most emoji) count twice."""
    return len(text) + sum(character > "\uffff" for character in text)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of text whose entities are known relative to its own start."""

    text: str
    units: int
    entities: tuple[tuple[TypeEntity, int, int], ...]


def fragment(*parts: str | tuple[str, TypeEntity]) -> Fragment:
    """From plain strings and (string, entity) pairs, in order."""
    entities = []
    offset = 0
    for part in parts:
        text, entity = (part, None) if isinstance(part, str) else part
        units = utf16_length(text)
        if entity is not None:
            entities.append((entity, offset, units))
        offset += units
    return Fragment("".join(p if isinstance(p, str) else p[0] for p in parts), offset, tuple(entities))


def join(fragments: Iterable[Fragment], separator: str = " ") -> tuple[str, list[tl.TypeMessageEntity]]:
    """The text of all fragments and their entities, shifted into place. `separator` is of the basic plane."""
    texts: list[str] = []
    entities: list[tl.TypeMessageEntity] = []
    offset = 0
    for piece in fragments:
        texts.append(piece.text)
        for make, start, length in piece.entities:
            entities.append(make(offset + start, length))
        offset += piece.units + len(separator)
    return separator.join(texts), entities


def longest_text(opening: str) -> str:
    """A text of exactly LONGEST characters."""
    return (opening * (LONGEST // len(opening) + 1))[:LONGEST]


def _link(url: str) -> TypeEntity:
    return partial(tl.MessageEntityTextUrl, url=url)


def _mention(user_id: int) -> TypeEntity:
    return partial(tl.MessageEntityMentionName, user_id=user_id)


_BOLD, _ITALIC, _CODE = tl.MessageEntityBold, tl.MessageEntityItalic, tl.MessageEntityCode
_URL, _TAG, _AT = tl.MessageEntityUrl, tl.MessageEntityHashtag, tl.MessageEntityMention
_PYTHON = partial(tl.MessageEntityPre, language="python")
_EMOJI = partial(tl.MessageEntityCustomEmoji, document_id=5_368_324_170_671_202_286)

FRAGMENTS: Sequence[Fragment] = (
    fragment("Has anyone seen this with the new release?"),
    fragment("Yes, same here 👍"),
    fragment("Try ", ("redis-cli monitor", _CODE), " and watch the keys."),
    fragment("Доброе утро! Сегодня обновление в 19:00 по UTC."),
    fragment("It is ", ("much", _BOLD), " faster now 🚀🚀"),
    fragment("👩‍💻 The docs are at ", ("https://example.org/docs?q=%F0%9F%98%80", _URL)),
    fragment("שלום לכולם, ", ("הגרסה החדשה", _BOLD), " יצאה היום"),
    fragment("مرحبا، هل جرّب أحدكم ", ("الإصدار", _ITALIC), " الجديد؟"),
    fragment(("#release", _TAG), " notes are out"),
    fragment("Спасибо, ", ("@member7", _AT), ", помогло!"),
    fragment("🇺🇦🇩🇪 flags, then ", ("bold after emoji 😀", _BOLD)),
    fragment(("for page in pages:\n    yield from page", _PYTHON)),
    fragment("See ", ("the guide", _link("https://example.org/guide")), " first."),
    fragment("大家好，今天的版本修复了三个问题。"),
    fragment("ありがとうございます ", ("🙏", _EMOJI)),
    fragment("Thanks ", ("Ana", _mention(600_000_007)), "!"),
    fragment("No idea, sorry."),
    fragment(("spoiler: it was DNS", tl.MessageEntitySpoiler)),
    fragment(
        "Write to ",
        ("team@example.org", tl.MessageEntityEmail),
        " or call ",
        ("+1 202 555 0143", tl.MessageEntityPhone),
    ),
    fragment(("/start", tl.MessageEntityBotCommand), " does nothing for me"),
    fragment("Ça marche très bien chez nous, l’été dernier aussi."),
    fragment("Zażółć gęślą jaźń – ", ("test", _CODE), " passed"),
    fragment("𝒞𝓊𝓇𝓈𝒾𝓋𝑒 ", ("𝕕𝕠𝕦𝕓𝕝𝕖", tl.MessageEntityUnderline), " letters count twice"),
    fragment("Was ", ("4 €", tl.MessageEntityStrike), ", now 3 €. ", ("$TON", tl.MessageEntityCashtag)),
    fragment(("Quoted: measure first, then change.", tl.MessageEntityBlockquote)),
    fragment("नमस्ते, यह संदेश हिन्दी में है।"),
    fragment("Line one\nline two\n\n— and a paragraph"),
    fragment("(｡•̀ᴗ-)✧ plain kaomoji, ", ("zalgo ẗ̸ë̵x̴t̷", _ITALIC)),
    fragment("Good question. I would measure it before changing anything."),
    fragment("Deploy went through, error rate 0.02 %, p99 at 180 ms."),
    fragment("¿Alguien tiene el enlace de la charla de ayer?"),
    fragment("Karşılaştırma tablosu hazır 📊"),
)
"""Thirty-two short texts in many scripts: links, code, mentions, right-to-left text, emoji beyond the basic plane."""

LONG_TEXT = longest_text("All work and no play makes a long message — 漢字 и кириллица. ")
