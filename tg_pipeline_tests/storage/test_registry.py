import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import InputError, SettingsError, StorageError
from tg_pipeline.storage.registry import load_registry, read_registry
from tg_pipeline.storage.registry_edit import add_chat, remove_chat

COMMENTED = """\
# Chats of the newsroom.
chats:
  # The founder's channel: quiet.
  - slug: durov
    chat: '@durov'   # with quotes
    start: 2024-01-01

  # Busy.
  - slug: group
    chat: https://t.me/Group
    id: -1001
# The end.
"""
NEW = RegisteredChat(slug="new", chat="@new", id=-1002, username="new", title="New: a chat", start=date(2025, 1, 2))
NEW_LINES = """\
  - slug: new
    chat: "@new"
    id: -1002
    username: new
    title: "New: a chat"
    start: 2025-01-02
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.yaml"


def test_a_missing_or_empty_file_holds_no_chats(path: Path) -> None:
    assert load_registry(path) == []
    for text in ("", "# nothing yet\n", "chats:\n", "chats: []\n", "---\n"):
        path.write_text(text)
        assert load_registry(path) == []


def test_chats_are_read_as_they_were_written(path: Path) -> None:
    path.write_text("\ufeff" + COMMENTED + "  - {slug: n, chat: -100123}\n", encoding="utf-8")
    assert load_registry(path) == [
        RegisteredChat(slug="durov", chat="@durov", start=date(2024, 1, 1)),
        RegisteredChat(slug="group", chat="https://t.me/Group", id=-1001),
        RegisteredChat(slug="n", chat="-100123"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("chats:\n- slug: ../x\n  chat: a", 2, r"slug is '\.\./x'.*allowed are 1-63 of a-z"),
        ("chats:\n- slug: x\n  chat: a\n  topic: 1", 4, "unknown key 'topic'; allowed are slug, chat, id, username"),
        ("chats:\n- slug: x\n  chat: a\n- chat: b", 4, "this chat has no 'slug'"),
        ("chats:\n- slug: x\n  chat: @a", 3, "not YAML.*begins with @ needs quotes"),
        ("chats:\n- slug: x\n\tchat: a", 3, "not YAML"),
        ("chats:\n- slug: on\n  chat: a", 2, "slug must be text; put quotes around True"),
        ("chats:\n- slug: x\n  chat: a\n  start: 2025-02-30", 4, "start is '2025-02-30': "),
        ("chats:\n- slug: x\n  chat: a\n  start: soon", 4, "start is 'soon'"),
        ("chats:\n- slug: x\n  chat: a\n  id: many", 4, "id is 'many'"),
        ("chats:\n- slug: x\n  chat: ''", 3, "chat is ''"),
        ("chats:\n- slug: x\n  slug: y\n  chat: a", 3, "the key 'slug' stands twice"),
        ("chats:\n- slug: x\n  chat: a\n  ? [b]\n  : c", 4, "a key must be a word"),
        ("chats:\n- slug: x\n  chat: a\nchats: []", 4, "the key 'chats' stands twice"),
        ("chat:\n- slug: x", 1, "unknown key 'chat'; allowed is `chats`"),
        ("chats: durov", 1, "must be a list"),
        ("chats:\n- durov", 2, "must be a mapping"),
        ("chats:\n- slug: x\n  chat: a\n- slug: x\n  chat: b", 4, "have the same slug, x"),
        ("chats:\n- {slug: x, chat: a, id: 5}\n- {slug: y, chat: b, id: 5}", 3, "y and x have the same id, 5"),
        (
            "chats:\n- {slug: x, chat: t.me/c/77/5}\n- {slug: y, chat: b, id: -1000000000077}",
            3,
            "the same id, -1000000000077",
        ),
        ("chats:\n- {slug: x, chat: name}\n- {slug: y, chat: '@Name'}", 3, "y and x have the same name, name"),
        ("chats:\n- {slug: x, chat: name}\n- {slug: y, chat: 'https://t.me/s/NAME/12?x'}", 3, "the same name"),
        ("chats:\n- {slug: x, chat: name}\n- {slug: y, chat: 'tg://resolve?domain=name&post=1'}", 3, "the same name"),
        ("chats:\n- {slug: x, chat: 5, username: name}\n- {slug: y, chat: 6, username: nAme}", 3, "the same name"),
        ("chats:\n- {slug: x, chat: name_x}\n- {slug: y, chat: NAME_X.t.me}", 3, "y and x have the same name, name_x"),
        ("chats: [", 2, "not YAML"),
        ("chats:\n- slug: x\n  chat: yes", 3, "chat must be text"),
        ("chats:\n- {slug: x, chat: t.me/+Ab}\n- {slug: y, chat: t.me/+Ab}", 3, "y and x have the same name"),
        ('chats:\n- slug: x\n  chat: "a\\x9bb"', 3, r"chat is 'a\\x9bb'"),
        ("chats:\n- slug: x\n  chat: a\n  id: yes", 4, "id is 'True': Input should be a valid integer"),
        ("chats:\n- slug: x\n  chat: a\n  id: 9223372036854775808", 4, "id is '9223372036854775808'"),
        ("chats:\n- slug: x\n  chat: a\n  account: me", 4, "account is 'me'"),
        ("chats:\n- slug: x\n  chat: a\n  account: -5", 4, "account is '-5'"),
        ("chats:\n- {slug: x, chat: 5, account: 7}\n- {slug: y, chat: 5, account: 7}", 3, "y and x have the same id"),
        ("chats:\n- slug: x\n  chat: a\n  start: 9999-01-01", 4, "start is 9999-01-01: this day has not begun"),
        ("chats:\n- slug: x\n  chat: a\n  start: 2012-12-31", 4, "start is '2012-12-31': .*equal to 2013-01-01"),
        ("chats:\n- slug: x\n  chat: a\n  title: !!bool zz", 4, "title is 'zz'"),
        ("chats:\n- slug: x\n  chat: !env CHAT", 3, "chat is 'CHAT': could not determine a constructor"),
        ("chats:\n- slug: x\n  chat: a\n  id: 0x" + 900 * "f", 4, "id is '"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(path: Path, text: str, line: int, said: str) -> None:
    path.write_text(text + "\n")
    try:
        (disabled,) = read_registry(path).disabled
    except SettingsError as error:
        reason = str(error)
    else:
        reason = disabled.reason
    assert re.match(f"^{path}, line {line}: .*{said}", reason)


GOOD = "- {slug: first, chat: '@first_chat'}\n%s\n- {slug: last, chat: '@last_chat', start: 2024-01-01}\n"


@pytest.mark.parametrize(
    "entry",
    [
        "- {slug: ../x, chat: a}",
        "- {slug: x, chat: a, topic: 1}",
        "- {slug: x, chat: a, start: soon}",
        "- {slug: x, chat: a, start: 2999-01-01}",
        "- {slug: x, chat: a, start: 1999-01-01}",
        "- {slug: x}",
        "- {slug: x, slug: y, chat: a}",
        "- {slug: on, chat: a}",
        "- {slug: x, chat: a, id: many}",
        "- {slug: first, chat: b}",
        "- {slug: x, chat: t.me/FIRST_chat}",
        "- {slug: x, chat: a, title: !!bool zz}",
        "- {slug: x, chat: !env CHAT}",
        "- {slug: x, chat: [a]}",
        "- {? [b] : c, chat: a}",
        "- x",
        "- [x]",
        "-",
    ],
)
def test_one_bad_entry_disables_that_chat_only(path: Path, entry: str) -> None:
    path.write_text("chats:\n" + GOOD % entry)
    found = read_registry(path)
    assert [chat.slug for chat in found.chats] == ["first", "last"]
    (disabled,) = found.disabled
    assert disabled.line == 3
    assert f"{path}, line 3" in disabled.reason
    before = path.read_text()
    add_chat(path, NEW)
    assert load_registry(path) == [*found.chats, NEW]
    remove_chat(path, "new")
    assert path.read_text() == before
    remove_chat(path, "last")
    assert [entry.fields for entry in read_registry(path).disabled] == [disabled.fields]
    assert entry in path.read_text()


def test_a_disabled_chat_can_be_removed_and_is_not_replaced_by_another(path: Path) -> None:
    path.write_text("chats:\n- {slug: x, chat: '@chat_one', start: soon}\n- {slug: x, chat: '@chat_two'}\n")
    assert [entry.line for entry in read_registry(path).disabled] == [2, 3]
    for name in ({"slug": "x", "chat": "@other"}, {"slug": "y", "chat": "t.me/CHAT_one"}):
        with pytest.raises(SettingsError, match="disabled"):
            add_chat(path, RegisteredChat.model_validate(name))
    remove_chat(path, "x")
    assert [chat.chat for chat in load_registry(path)] == ["@chat_two"]


@pytest.mark.parametrize(("slug", "other"), [("crypto_news", "crypto-news"), ("a-b_c", "a_b-c")])
def test_slugs_that_dagster_takes_for_one_are_not_both_registered(path: Path, slug: str, other: str) -> None:
    add_chat(path, RegisteredChat(slug=slug, chat="@chat_one"))
    with pytest.raises(SettingsError):
        add_chat(path, RegisteredChat(slug=other, chat="@chat_two"))
    with path.open("a") as file:
        file.write(f'  - slug: {other}\n    chat: "@chat_two"\n')
    found = read_registry(path)
    assert [chat.slug for chat in found.chats] == [slug]
    assert [entry.name for entry in found.disabled] == [other]


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([b"- a", b"chats"], "the file must be a mapping"),
        ([b"\xff\xfe\x00"], "is not text in UTF-8"),
        ([b"chats: \x00"], "this is not YAML"),
    ],
)
def test_what_is_no_registry_at_all_is_said(path: Path, contents: list[bytes], said: str) -> None:
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=f"^{path}.* {said}"):
            load_registry(path)


def test_the_dialog_of_two_accounts_with_one_person_is_two_chats(path: Path) -> None:
    path.write_text("chats:\n- {slug: x, chat: 5, id: 5, account: 7}\n- {slug: y, chat: 5, id: 5, account: 8}\n")
    assert [chat.account for chat in load_registry(path)] == [7, 8]


def test_a_file_with_aliases_is_read_and_left_to_be_changed_by_hand(path: Path) -> None:
    text = "chats:\n- {slug: x, chat: '@chat_x', start: &day 2024-01-01}\n- {slug: y, chat: '@chat_y', start: *day}\n"
    path.write_text(text)
    assert [chat.start for chat in load_registry(path)] == [date(2024, 1, 1), date(2024, 1, 1)]
    with pytest.raises(SettingsError):
        add_chat(path, NEW)
    with pytest.raises(SettingsError):
        remove_chat(path, "x")
    assert path.read_text() == text


def test_a_registry_that_cannot_be_read_is_a_sentence(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(SettingsError, match="cannot be read: Too many levels"):
        load_registry(path)
    path.unlink()
    path.mkdir()  # as Docker does where a file to mount is missing
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_registry(path)


def test_a_chat_is_added_and_all_else_stays(path: Path) -> None:
    path.write_text(COMMENTED)
    add_chat(path, NEW)
    assert path.read_text() == COMMENTED.replace("# The end.\n", NEW_LINES + "# The end.\n")
    assert load_registry(path)[-1] == NEW


def test_a_chat_is_removed_and_all_else_stays(path: Path) -> None:
    path.write_text(COMMENTED)
    remove_chat(path, "durov")
    assert path.read_text() == COMMENTED.replace(
        "  - slug: durov\n    chat: '@durov'   # with quotes\n    start: 2024-01-01\n", ""
    )
    remove_chat(path, "group")
    assert load_registry(path) == []
    add_chat(path, NEW)
    assert load_registry(path) == [NEW]
    assert "# The end." in path.read_text()


@pytest.mark.parametrize(
    "text",
    ["", "# mine\n", "chats:\n", "chats: []\n", "chats: []", "chats:\n# later\n",
     "chats:\n- slug: x\n  chat: a", "chats:\n    -   slug: x\n        chat: a\n"],
)  # fmt: skip
def test_a_chat_is_added_to_any_block_layout(path: Path, text: str) -> None:
    path.write_text(text)
    before = load_registry(path)
    add_chat(path, NEW)
    assert load_registry(path) == [*before, NEW]
    assert all(line in path.read_text() for line in text.splitlines() if line.startswith("#"))
    remove_chat(path, "new")
    assert load_registry(path) == before


def test_lines_that_end_as_windows_ends_them_stay_so(path: Path) -> None:
    path.write_bytes(COMMENTED.replace("\n", "\r\n").encode())
    add_chat(path, NEW)
    assert path.read_bytes().startswith(COMMENTED.removesuffix("# The end.\n").replace("\n", "\r\n").encode())


def test_the_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "chats.yaml"
    add_chat(path, NEW)
    assert path.read_text() == "chats:\n" + NEW_LINES


@pytest.mark.parametrize("text", ["{chats: [{slug: x, chat: a}]}\n", "chats: [{slug: x, chat: a}]\n"])
def test_a_layout_that_cannot_be_changed_by_line_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(SettingsError, match="only be changed by hand"):
        add_chat(path, NEW)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "title", ["yes", "12", "a: b # c", '"q" \\', "نام", "👩‍👩‍👧", "\x00\x1f\x85\u2028\ufeff", "- x", "~"]
)
def test_any_title_is_read_back(path: Path, title: str) -> None:
    chat = RegisteredChat(slug="x", chat="12", title=title)
    add_chat(path, chat)
    assert load_registry(path) == [chat]


@pytest.mark.parametrize(
    ("slug", "chat", "known"),
    [("durov", "@durov", "durov"), ("x", "t.me/DUROV", "durov"), ("x", "-1001", "group")],
)
def test_a_chat_is_not_added_twice(path: Path, slug: str, chat: str, known: str) -> None:
    path.write_text(COMMENTED)
    with pytest.raises(SettingsError) as caught:
        add_chat(path, RegisteredChat(slug=slug, chat=chat))
    assert str(caught.value) == f"{chat} is registered already, as {known}."
    assert path.read_text() == COMMENTED


def test_a_slug_is_not_given_twice(path: Path) -> None:
    path.write_text(COMMENTED)
    with pytest.raises(SettingsError) as caught:
        add_chat(path, RegisteredChat(slug="durov", chat="@other"))
    assert str(caught.value) == "The slug durov is that of @durov already; @other needs another one."
    assert path.read_text() == COMMENTED


def test_a_chat_that_is_not_there_cannot_be_removed(path: Path) -> None:
    with pytest.raises(InputError, match="'x' is not in"):
        remove_chat(path, "x")


def test_a_link_to_the_registry_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(COMMENTED)
    path.symlink_to("real.yaml")
    add_chat(path, NEW)
    assert path.is_symlink()
    assert load_registry(tmp_path / "real.yaml")[-1] == NEW


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=rf"{tmp_path}/file.* Not a directory"):
        add_chat(tmp_path / "file" / "chats.yaml", NEW)


WRITER = """
import sys
from pathlib import Path
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.storage.registry_edit import add_chat
for n in range(25):
    name = f"{sys.argv[2]}{n}"
    add_chat(Path(sys.argv[1]), RegisteredChat(slug=name, chat="@chat_" + name))
"""


def test_two_processes_lose_nothing_of_each_other(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert {chat.slug for chat in load_registry(path)} == {f"{name}{n}" for name in "ab" for n in range(25)}
    assert os.listdir(path.parent) == ["chats.yaml"]  # noqa: PTH208 - nothing is left beside it, hidden or not


@pytest.mark.parametrize("text", ["[" * 50_000, "chats: " + "{a: " * 50_000, "- " * 50_000])
def test_deep_nesting_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(SettingsError, match="line 1"):
        load_registry(path)
