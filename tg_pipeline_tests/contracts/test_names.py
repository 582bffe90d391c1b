"""Every way to name a chat is read the same, and nothing else is taken for one."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.names import ById, ByTitle, ByUsername, parse_name

usernames = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{7,31}", fullmatch=True)
bare_ids = st.integers(1, 10**12 - 1)


@given(usernames, st.integers(1, 10**9))
def test_every_spelling_of_a_username_names_it(name: str, post: int) -> None:
    spellings = [
        name,
        f" @{name}\n",
        f"t.me/{name}",
        f"T.ME/{name}/",
        f"https://t.me/{name}",
        f"http://telegram.me/{name}/{post}",
        f"https://telegram.dog/{name}/{post}?single",
        f"https://www.t.me/{name}#top",
        f"https://t.me/s/{name}",
        f"t.me/s/{name}/{post}",
        f"tg://resolve?domain={name}&post={post}",
    ]
    assert {parse_name(spelling) for spelling in spellings} == {ByUsername(name)}


@given(usernames)
def test_a_username_may_stand_before_the_host(name: str) -> None:
    assert parse_name(f"https://{name}.t.me/5") == ByUsername(name.lower())


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_a_number_is_an_id(number: int) -> None:
    assert parse_name(str(number)) == ById(number)


@given(bare_ids, st.integers(1, 10**9))
def test_a_private_link_names_a_channel_by_its_bare_id(bare_id: int, post: int) -> None:
    assert parse_name(f"https://t.me/c/{bare_id}/{post}") == ById(-(10**12 + bare_id))


def read_or_refused(text: str) -> None:
    """Any other error than an InputError is a bug, and so is an id that no database can hold."""
    with suppress(InputError):
        name = parse_name(text)
        assert not isinstance(name, ById) or abs(name.marked_id) < 2**63


@given(st.text())
def test_any_text_is_a_name_or_refused_in_a_sentence(text: str) -> None:
    read_or_refused(text)


@given(st.text(alphabet="tme./:@+sc12?=#[]-_ ab", max_size=30))
def test_text_that_looks_like_a_link_is_a_name_or_refused_too(text: str) -> None:
    read_or_refused(text)


@pytest.mark.parametrize("title", ["My chat", "Новости", "a", "1st", "foo // bar", "[", "чат t.me/x"])
def test_anything_else_is_a_title(title: str) -> None:
    assert parse_name(title) == ByTitle(title)


@pytest.mark.parametrize("link", ["t.me/+AbCdEf", "https://t.me/joinchat/AbCdEf", "t.me/JoinChat/x"])
def test_an_invite_link_names_no_chat_and_says_what_to_do(link: str) -> None:
    with pytest.raises(InputError, match=r"is an invite link\. Join the chat"):
        parse_name(link)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "names no chat"), ("t.me/boost/durov", "is a link to no chat"), ("@1abc", "holds no username")],
)
def test_a_refusal_says_why(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^chat: {text!r} {reason}"):
        parse_name(text)


@pytest.mark.parametrize(
    "link",
    ["t.me/addstickers/x", "t.me/boost/durov", "https://t.me/addlist/x", "t.me/proxy?server=x", "t.me", "t.me/c/x/5"],
)
def test_a_link_to_something_else_is_refused(link: str) -> None:
    with pytest.raises(InputError, match=re.escape(repr(link))) as refused:
        parse_name(link)
    assert refused.value.field == "chat"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "x" * 257,
        "a\x00b",
        "a\x9bb",
        "a\u2028b",
        "a\ud800b",
        "@",
        "@a",
        "@1abc",
        "@has space",
        "tg://join?invite=x",
    ],
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^chat: ") as refused:
        parse_name(text)
    assert refused.value.field == "chat"
