import pytest
from telethon import helpers
from telethon.tl import types as tl

from tg_pipeline.simulator.worlds.text import FRAGMENTS, LONG_TEXT, LONGEST, Fragment, fragment, join, utf16_length


def substring(text: str, entity: tl.TypeMessageEntity) -> str:
    """What an entity covers, by Telegram's counting."""
    units = text.encode("utf-16-le")
    return units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le")


@pytest.mark.parametrize("text", ["", "abc", "Ж漢", "😀", "👩‍💻 ok", "🇺🇦🇩🇪", "𝕕𝕠"])
def test_the_length_is_that_in_utf_16(text: str) -> None:
    assert utf16_length(text) * 2 == len(text.encode("utf-16-le"))


def test_entities_cover_what_they_were_given_to() -> None:
    piece = fragment("🚀 see ", ("the 📖", tl.MessageEntityBold), " and ", ("here", tl.MessageEntityCode))
    text, entities = join([FRAGMENTS[4], piece, FRAGMENTS[10]])
    assert [substring(text, entity) for entity in entities] == ["much", "the 📖", "here", "bold after emoji 😀"]


@pytest.mark.parametrize("piece", FRAGMENTS, ids=lambda piece: str(piece.text[:12]))
def test_every_fragment_survives_the_padding_of_the_client(piece: Fragment) -> None:
    text, entities = join([piece])
    surrogates = helpers.add_surrogate(text)
    assert len(surrogates) == piece.units
    assert all(entity.offset >= 0 and entity.offset + entity.length <= piece.units for entity in entities)
    assert all(substring(text, entity) in text for entity in entities)


def test_fragments_fill_the_bits_that_choose_them() -> None:
    assert len({piece.text for piece in FRAGMENTS}) == 32


def test_the_longest_text_is_as_long_as_telegram_allows() -> None:
    assert (len(LONG_TEXT), LONGEST) == (4096, 4096)
