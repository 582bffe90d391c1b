"""Which chat a person means: the registered one under any of its names, else one to be archived under its own."""

from pathlib import Path

import pytest

from tg_pipeline.app.chats import find_chat, registered, settled
from tg_pipeline.contracts.chat import Peer, RegisteredChat
from tg_pipeline.contracts.errors import InputError, SettingsError
from tg_pipeline.settings import Settings

NEWS = """
chats:
  - slug: news
    chat: "@daily_news"
    id: -1001234567890
    username: daily_news
    title: The daily news
  - slug: club
    chat: "-100777"
    id: -1000000000777
  - slug: ann
    chat: t.me/Ann_Bee/5
  - slug: library
    chat: "-100778"
    title: Books
  - slug: club-of-books
    chat: "@book_club"
    title: ann_bee
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "chats.yaml").write_text(NEWS)
    return Settings(_env_file=None, chats_file=tmp_path / "chats.yaml")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("news", "news"),
        ("@daily_news", "news"),
        ("@DAILY_news", "news"),
        ("https://t.me/daily_news/17", "news"),
        ("-1001234567890", "news"),
        ("1234567890", "news"),
        ("t.me/c/1234567890/5", "news"),
        ("The daily news", "news"),
        ("-1000000000777", "club"),
        ("@ann_bee", "ann"),
        ("ann", "ann"),
        ("Books", "library"),
        ("ann_bee", "ann"),
    ],
)
def test_a_registered_chat_is_found_under_every_name(settings: Settings, name: str, slug: str) -> None:
    assert find_chat(settings, name).slug == slug


@pytest.mark.parametrize(
    ("name", "slug", "chat"),
    [
        ("@Some_Chat", "some_chat", "@Some_Chat"),
        ("@Books", "books", "@Books"),
        ("t.me/some_chat/9", "some_chat", "@some_chat"),
        ("-1000000000888", "id1000000000888", "-1000000000888"),
    ],
)
def test_another_is_archived_under_its_username_or_id(settings: Settings, name: str, slug: str, chat: str) -> None:
    assert find_chat(settings, name) == RegisteredChat(slug=slug, chat=chat)


def test_a_title_must_be_registered_first(settings: Settings) -> None:
    with pytest.raises(
        InputError, match=r"'Another title' is not registered\. Register it first: tg-pipeline chats add"
    ):
        find_chat(settings, "Another title")


def test_without_a_registry_nothing_is_registered(tmp_path: Path) -> None:
    assert registered(Settings(_env_file=None, chats_file=tmp_path / "none.yaml")) == []


@pytest.mark.parametrize("name", ["club", "@old_club", "-1000000000779", "The club"])
def test_a_disabled_chat_is_told_with_its_reason(settings: Settings, name: str) -> None:
    with settings.chats_path.open("a") as file:
        file.write('  - {slug: old, chat: "@old_club", id: -1000000000779, title: The club, start: soon}\n')
        file.write('  - {slug: club, chat: "@other_club"}\n')
    if name == "club":
        assert find_chat(settings, name).id == -1000000000777, "the first entry of a slug is the one that counts"
        return
    with pytest.raises(SettingsError, match=rf"{settings.chats_path}, line 19: start is 'soon'"):
        find_chat(settings, name)


def test_a_registry_that_is_wrong_as_a_whole_is_told(settings: Settings) -> None:
    settings.chats_path.write_text("chats: [")
    with pytest.raises(SettingsError, match=str(settings.chats_path)):
        find_chat(settings, "@a_chat")


def test_a_chat_whose_name_is_no_name_hides_no_other(settings: Settings) -> None:
    with settings.chats_path.open("a") as file:
        file.write('  - {slug: invited, chat: "t.me/+AbCd"}\n')
    assert find_chat(settings, "@book_club").slug == "club-of-books"
    assert find_chat(settings, "invited").slug == "invited"


def test_a_chat_that_is_fetched_while_somebody_edits_the_registry_keeps_its_slug(settings: Settings) -> None:
    news, ann = find_chat(settings, "news"), find_chat(settings, "ann")
    settings.chats_path.write_text("chats: [")
    peer = Peer("channel", 1_234_567_890, access_hash=1, username="daily_news", title="The daily news")
    assert settled(settings, news, peer, account=7) == news
    with pytest.raises(SettingsError):
        settled(settings, ann, peer, account=7)
