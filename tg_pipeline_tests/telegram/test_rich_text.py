"""The words of a rich message, with their formatting, are text like any other."""

from typing import Any

import pytest
from telethon.tl import types as tl

from tg_pipeline.telegram.rich_text import flattened
from tg_pipeline_tests.telegram.tl_samples import samples


def plain(text: str) -> tl.TextPlain:
    return tl.TextPlain(text)


def caption(text: str) -> tl.PageCaption:
    return tl.PageCaption(plain(text), plain(""))


def flat(*blocks: Any) -> tuple[str, list[dict[str, Any]]]:
    return flattened(tl.RichMessage(list(blocks), [], []))


def paragraph(*texts: Any) -> tl.PageBlockParagraph:
    return tl.PageBlockParagraph(tl.TextConcat(list(texts)))


def test_blocks_are_lines_and_formatting_is_entities_in_utf_16_units() -> None:
    text, entities = flat(
        tl.PageBlockHeading1(plain("Report 🎉")),
        paragraph(
            plain("all "), tl.TextBold(tl.TextItalic(plain("here"))), tl.TextUrl(plain("."), "https://x.example", 0)
        ),
    )
    assert text == "Report 🎉\nall here."
    assert entities == [
        {"type": "bold", "offset": 14, "length": 4},
        {"type": "italic", "offset": 14, "length": 4},
        {"type": "text_link", "offset": 18, "length": 1, "url": "https://x.example"},
    ]


def test_lists_tables_details_and_captions_give_their_words_in_reading_order() -> None:
    text, _ = flat(
        tl.PageBlockList([tl.PageListItemText(plain("milk")), tl.PageListItemBlocks([paragraph(plain("bread"))])]),
        tl.PageBlockTable(
            plain("Prices"),
            [tl.PageTableRow([tl.PageTableCell(text=plain("milk")), tl.PageTableCell(text=plain("1"))])],
        ),
        tl.PageBlockDetails([paragraph(plain("inside"))], plain("More")),
        tl.PageBlockPhoto(5, caption("a photo")),
        tl.PageBlockDivider(),
        tl.PageBlockMath("x^2"),
    )
    assert text == "milk\nbread\nPrices\nmilk\t1\nMore\ninside\na photo\nx^2"


def test_quotes_and_code_are_entities_over_their_block() -> None:
    text, entities = flat(
        tl.PageBlockPreformatted(plain("x = 1"), "python"),
        tl.PageBlockBlockquote(plain("said"), plain(""), collapsed=True),
    )
    assert text == "x = 1\nsaid"
    assert entities == [
        {"type": "pre", "offset": 0, "length": 5, "language": "python"},
        {"type": "blockquote", "offset": 6, "length": 4, "collapsed": True},
    ]


@pytest.mark.parametrize("block", samples("PageBlock"), ids=lambda block: type(block).__name__)
def test_every_block_is_read(block: Any) -> None:
    text, entities = flat(block, paragraph(plain("end")))
    assert text.endswith("end")
    assert all(e["offset"] + e["length"] <= len(text) for e in entities)


@pytest.mark.parametrize("text", samples("RichText"), ids=lambda text: type(text).__name__)
def test_every_formatting_is_read(text: Any) -> None:
    found, entities = flat(paragraph(text, plain("end")))
    assert found.endswith("end")
    assert all(e["type"] and e["length"] for e in entities)
