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


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web.telegram.org/k/#@case_chat", ByUsername("case_chat")),
        ("https://web.telegram.org/a/#@case_chat", ByUsername("case_chat")),
        ("https://web.telegram.org/a/#-1001800000001", ById(-1001800000001)),
        ("https://web.telegram.org/a/#-1001800000001_55", ById(-1001800000001)),
        ("https://web.telegram.org/k/#-1001800000001", ById(-1001800000001)),
        ("https://web.telegram.org/z/#777000", ById(777000)),
        ("https://web.telegram.org/z/#-4000078", ById(-4000078)),
        ("https://web.telegram.org/#/im?p=@case_chat", ByUsername("case_chat")),
        ("https://web.telegram.org/#/im?p=c1800000001_7718", ById(-1001800000001)),
        ("https://web.telegram.org/#/im?p=s1800000001_7718", ById(-1001800000001)),
        ("https://web.telegram.org/#/im?p=g4000078", ById(-4000078)),
        ("https://web.telegram.org/#/im?p=u600000001_9", ById(600000001)),
        ("https://web.telegram.org/k/#?tgaddr=tg%3A%2F%2Fresolve%3Fdomain%3Dcase_chat", ByUsername("case_chat")),
        ("#-1001800000001", ById(-1001800000001)),
        ("#@case_chat", ByUsername("case_chat")),
        ("tg://privatepost?channel=1800000001&post=3", ById(-1001800000001)),
        ("tg://openmessage?user_id=600000001", ById(600000001)),
        ("tg://openmessage?chat_id=4000078", ById(-4000078)),
        ("tg://user?id=600000001", ById(600000001)),
        ("TG:resolve?domain=case_chat", ByUsername("case_chat")),
        ("tg://resolve/?domain=case_chat#x", ByUsername("case_chat")),
        ("https://t.me/@case_chat", ByUsername("case_chat")),
        ("https://www.telegram.me/case_chat/4?comment=5", ByUsername("case_chat")),
        ("https://telegram.dog/case_chat", ByUsername("case_chat")),
        ("t.me/case_chat?boost", ByUsername("case_chat")),
        ("Family", ByUsername("Family")),
    ],
)
def test_what_people_copy_from_clients_names_the_chat(text: str, name: object) -> None:
    assert parse_name(text) == name


@pytest.mark.parametrize(
    "link",
    [
        "tg://resolve?phone=491701234567",
        "tg://addlist?slug=x",
        "tg://boost?channel=1800000001",
        "tg://msg_url?url=x",
        "tg://privatepost?channel=x",
        "tg://openmessage?user_id=",
        "tg://settings",
        "tg:",
        "web.telegram.org",
        "https://web.telegram.org/a/",
        "https://web.telegram.org/k/#-1800000001",
        "https://web.telegram.org/k/#?tgaddr=tg%3A%2F%2Fjoin%3Finvite%3Dx",
        "https://t.me/$abc",
        "t.me/m/abc",
        "t.me/+491701234567",
        "https://t.me/addlist/abc",
        "https://telegram.dog/boost/case_chat",
        "+49 170 1234567",
        "+491701234567",
        "https://fragment.com/username/case_chat",
        "https://tgstat.com/channel/@case_chat",
        "tgstat.com/channel/@case_chat",
        "https://example.org",
        "ftp://t.me.example.org/case_chat",
    ],
)
def test_every_other_link_is_refused_and_never_taken_for_a_title(link: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_name(link)
    assert refused.value.field == "chat"


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
