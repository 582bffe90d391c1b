"""Slugs, peers and entries of the registry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tg_pipeline.contracts.chat import Peer, PeerKind, RegisteredChat, is_slug


@pytest.mark.parametrize("text", ["a", "7", "news", "a-b_c", "x" * 63, "id100"])
def test_a_plain_name_is_a_slug(text: str) -> None:
    assert is_slug(text)
    assert RegisteredChat(slug=text, chat="@a_chat").slug == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "_a", "A", "a b", "../x", "a/b", "a.b", "é", "x" * 64, "a\n"])
def test_what_could_leave_its_directory_or_is_not_plain_is_none(text: str) -> None:
    assert not is_slug(text)
    with pytest.raises(ValidationError, match="cannot be a slug"):
        RegisteredChat(slug=text, chat="@a_chat")


@given(st.text())
def test_a_slug_stays_one_part_of_a_path(text: str) -> None:
    assert not is_slug(text) or (text.isascii() and not set(text) & set("/\\. ") and text == text.lower())


@pytest.mark.parametrize(
    ("kind", "bare_id", "marked_id"),
    [("user", 5, 5), ("chat", 5, -5), ("channel", 5, -1_000_000_000_005), ("channel", 10**12, -2_000_000_000_000)],
)
def test_a_marked_id_tells_the_kind(kind: PeerKind, bare_id: int, marked_id: int) -> None:
    assert Peer(kind, bare_id, 0).marked_id == marked_id


def test_an_entry_has_no_other_keys() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        RegisteredChat.model_validate({"slug": "a", "chat": "@a_chat", "nmae": 1})
