"""The text of a rich message: its blocks and their formatting as one string with entities, as in other messages.

Telegram sends what is written in its editor of rich messages as a tree (`rich_message`) and leaves `message` empty.
Each block becomes a line or more; tabs separate the cells of a table row. What the string cannot show (levels of
headings, pictures, buttons) stays in the tree, which the mapper keeps beside the text.
"""

from datetime import datetime
from typing import Any

from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

from tg_pipeline.telegram.plain import plain, snake

_NAMES: dict[type, str] = {
    tl.TextFixed: "code",
    tl.TextUrl: "text_link",
    tl.TextMentionName: "text_mention",
    tl.TextStrike: "strikethrough",
    tl.TextAutoUrl: "url",
    tl.TextAutoEmail: "email",
    tl.TextAutoPhone: "phone",
    tl.TextDate: "formatted_date",
    tl.PageBlockPreformatted: "pre",
    tl.PageBlockBlockquote: "blockquote",
    tl.PageBlockBlockquoteBlocks: "blockquote",
    tl.PageBlockPullquote: "blockquote",
}
_NO_ENTITY = (tl.TextPlain, tl.TextEmpty, tl.TextConcat, tl.TextImage, tl.TextAnchor, tl.TextButton, tl.TextDiff)
_WRITTEN = ("text", "alt", "source", "author", "title", "description")
"""Fields that hold words as a plain string."""
_NOT_IN_ENTITIES = {*_WRITTEN, "webpage_id"}
_RICH_TEXT = tl.TextPlain.SUBCLASS_OF_ID


def flattened(message: Any) -> tuple[str, list[dict[str, Any]]]:
    """Text and entities of a `RichMessage`, offsets in UTF-16 code units.

    A block or a formatting of a newer layer gives the words in it.
    """
    flat = _Flat()
    for block in message.blocks:
        flat.block(block)
    return "".join(flat.pieces), sorted(flat.entities, key=lambda e: (e["offset"], -e["length"]))


class _Flat:
    """The string so far. `at` is its length in UTF-16 code units."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.entities: list[dict[str, Any]] = []
        self.at = 0
        self._gap = ""

    def block(self, value: Any) -> None:
        """A block and the blocks in it, each on lines of its own."""
        first = len(self.entities)
        self.entities.append({})
        begin = self._begin()
        if isinstance(value, tl.PageTableRow):
            for number, cell in enumerate(value.cells):
                self._gap = "\t" if number else self._gap
                self.inline(cell.text)
            self._end_line()
        else:
            for part in _in_reading_order(value):
                self._part(part)
        self._close(first, begin, value)

    def _part(self, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._part(item)
        elif isinstance(value, str) or _is_inline(value):
            self.inline(value)
            self._end_line()
        elif isinstance(value, TLObject):
            self.block(value)

    def inline(self, value: Any) -> None:
        """A piece of a line."""
        if isinstance(value, str):
            self._write(value)
            return
        if value is None:
            return
        first = len(self.entities)
        self.entities.append({})
        begin = self._begin()
        if isinstance(value, tl.TextConcat):
            for text in value.texts:
                self.inline(text)
        elif isinstance(value, tl.TextDiff):
            self.inline(value.text)
        else:
            for part in _in_reading_order(value):
                if isinstance(part, str) or _is_inline(part):
                    self.inline(part)
        self._close(first, begin, value)

    def _begin(self) -> int:
        """Where the next word will stand."""
        return self.at + (len(self._gap) if self.pieces else 0)

    def _write(self, text: str) -> None:
        if text:
            text = (self._gap if self.pieces else "") + text
            self._gap = ""
            self.pieces.append(text)
            self.at += len(text.encode("utf-16-le", "surrogatepass")) // 2

    def _end_line(self) -> None:
        self._gap = "\n"

    def _close(self, first: int, begin: int, value: Any) -> None:
        """Fill in the entity that was begun, or take it back where there is none."""
        kind = type(value)
        name = _NAMES.get(kind) or (snake(kind.__name__.removeprefix("Text")) if _is_inline(value) else None)
        if name is None or kind in _NO_ENTITY or self.at <= begin:
            del self.entities[first]
            return
        extra = {
            field: plain(what)
            for field, what in vars(value).items()
            if what and isinstance(what, str | int | datetime) and field not in _NOT_IN_ENTITIES
        }
        self.entities[first] = {"type": name, "offset": begin, "length": self.at - begin} | extra


def _is_inline(value: Any) -> bool:
    return bool(getattr(value, "SUBCLASS_OF_ID", None) == _RICH_TEXT)


def _in_reading_order(value: TLObject) -> list[Any]:
    """The fields that hold words or blocks. Titles and authors stand before what they head."""
    words = [field for name, field in vars(value).items() if not isinstance(field, str) or name in _WRITTEN]
    if isinstance(value, tl.PageBlockDetails | tl.PageBlockEmbedPost):
        return sorted(words, key=lambda field: isinstance(field, list))
    return words
