import re
import time
from collections.abc import Iterator

import pytest
from telethon.tl import types as tl

from tg_pipeline.app.running import LEASE
from tg_pipeline.contracts.chat import SLUG_RULE
from tg_pipeline.contracts.errors import ChatNotFound, ChatPrivate, InputError, SettingsError
from tg_pipeline.dagster_client import webserver
from tg_pipeline.dagster_client.webserver import NobodyAnswers, write_webserver_url
from tg_pipeline.machine.lease import hold_until_exit
from tg_pipeline.monitoring.metrics import exposition
from tg_pipeline.settings import load_settings
from tg_pipeline.simulator import Error, Simulator
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.export.chat import ExportedChat
from tg_pipeline.simulator.worlds.export.directory import Directory
from tg_pipeline.simulator.worlds.export.media import Attachments
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.storage.registry import load_registry
from tg_pipeline_tests.cli.conftest import NOBODY, Terminal
from tg_pipeline_tests.telegram_account import FIRST_DAY, ME, world_of


@pytest.fixture
def demo(terminal: Terminal) -> Iterator[Terminal]:
    """Logged in at the demo world."""
    with Simulator(build_world(0, time.time())) as simulator:
        terminal.log_in(simulator)
        yield terminal


@pytest.mark.parametrize(
    "name", ["@busy", "busy", "https://t.me/busy", "t.me/busy/123", "tg://resolve?domain=busy", "Busy"]
)
def test_a_chat_is_added_under_any_of_its_names(tg: Terminal, name: str) -> None:
    assert "Added busy: " in tg.ok("chats", "add", name)
    (chat,) = load_registry(tg.chats_file)
    assert (chat.slug, chat.chat, str(chat.start)) == ("busy", "@busy", "2024-01-01")


def test_a_chat_may_be_named_by_its_id(tg: Terminal) -> None:
    tg.ok("chats", "add", "@busy")
    (chat,) = load_registry(tg.chats_file)
    tg.ok("chats", "remove", "busy")
    assert load_registry(tg.chats_file) == []
    assert "Added busy: " in tg.ok("chats", "add", str(chat.id))


def test_its_calls_are_counted(tg: Terminal) -> None:
    tg.ok("chats", "add", "@busy")
    assert b'telegram_calls_total{target="contacts.resolveUsername"} 1.0' in exposition(load_settings())[0]


def test_a_slug_of_ones_own(tg: Terminal) -> None:
    assert "Added my-group: " in tg.ok("chats", "add", "@busy", "--slug", "my-group")


@pytest.mark.parametrize("again", ["@busy", "t.me/busy", "Busy"])
def test_the_same_chat_twice_is_refused_under_any_name(tg: Terminal, again: str) -> None:
    tg.ok("chats", "add", "@busy")
    before = tg.chats_file.read_text()
    error = tg.fails(SettingsError, "chats", "add", again, "--slug", "other")
    assert re.findall(r"@?busy", str(error)) == ["@busy", "busy"], "the chat, and the slug that it has"
    assert tg.chats_file.read_text() == before


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("@nobody_at_all", "(USERNAME_NOT_OCCUPIED)"),
        ("-1009999999999", "-1009999999999: "),
        ("No such title", "No such title: "),
    ],
)
def test_a_chat_that_telegram_does_not_show_is_refused(tg: Terminal, name: str, named: str) -> None:
    error = str(tg.fails(ChatNotFound, "chats", "add", name))
    assert error.startswith(f"{name}: ")
    assert named in error
    assert not tg.chats_file.exists()


@pytest.mark.parametrize("name", ["", "t.me/+AbCdEf", "@x", "t.me/addstickers/some"])
def test_a_name_that_leads_nowhere_is_refused(tg: Terminal, name: str) -> None:
    error = tg.fails(InputError, "chats", "add", name)
    assert error.field == "chat"
    assert repr(name) in str(error)
    assert not tg.chats_file.exists()


def test_a_private_chat_is_refused(tg: Terminal, simulator: Simulator) -> None:
    simulator.faults.add(Error(method="contacts.resolveUsername", code=400, error="CHANNEL_PRIVATE"))
    assert "(CHANNEL_PRIVATE)" in str(tg.fails(ChatPrivate, "chats", "add", "@busy"))


@pytest.mark.parametrize("slug", ["../x", "a/b", "A", "", "-a"])
def test_a_slug_that_is_no_plain_name_is_refused(tg: Terminal, slug: str) -> None:
    error = tg.fails(InputError, "chats", "add", "@busy", "--slug", slug)
    assert error.field == "slug"
    assert SLUG_RULE in str(error)
    assert not tg.chats_file.exists()


def test_an_upgraded_group_names_the_chat_that_holds_its_past(demo: Terminal) -> None:
    hint = demo.ok("chats", "add", "@demo_moved").splitlines()[1]
    command = hint.partition("tg-pipeline ")[2].split()
    assert "Added demo_moved-before: " in demo.ok(*command)


def test_a_chat_without_messages_says_so(demo: Terminal) -> None:
    assert "no messages yet" in demo.ok("chats", "add", "@demo_empty")


def test_nothing_in_the_list_is_cut(demo: Terminal) -> None:
    assert "No chats yet" in demo.ok("chats", "list")
    slug = "a-rather-long-name-that-a-person-chose-for-a-chat-of-theirs"
    demo.ok("chats", "add", "@demo_channel_chat", "--slug", slug)
    (line,) = (line for line in demo.ok("chats", "list").splitlines() if "-100" in line)
    assert line.split("  ") == [slug, "@demo_channel_chat", "-1001700000005", "2023-01-01", "Demo channel chat"]


def test_show_tells_the_entry_and_what_is_archived(tg: Terminal) -> None:
    tg.ok("chats", "add", "@busy")
    assert "archived   nothing yet" in tg.ok("chats", "show", "busy")
    tg.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")
    shown = tg.ok("chats", "show", "@busy")
    assert "2024-01-01 to 2024-01-03, 90 messages, 0 days still open" in shown
    assert f"files      {tg.data / 'busy'}" in shown


def test_a_private_dialog_is_shown_with_the_account_it_belongs_to(demo: Terminal) -> None:
    said = demo.ok("chats", "add", "@demo_friend")
    (chat,) = load_registry(demo.chats_file)
    assert chat.account is not None
    assert f"belongs to account {chat.account}" in said
    assert f"account    {chat.account}" in demo.ok("chats", "show", "demo_friend")


@pytest.mark.parametrize("name", ["nosuch", "@nosuch", "-1001234567890"])
def test_a_chat_that_is_neither_registered_nor_archived_is_not_shown(tg: Terminal, name: str) -> None:
    done = tg.run("chats", "show", name)
    assert (done.code, done.out) == (2, "")
    assert name in done.err


def test_of_an_archived_chat_that_is_not_registered_the_files_are_shown(tg: Terminal) -> None:
    tg.ok("fetch", "@busy", "--from", "2024-01-01", "--to", "2024-01-03")
    first, *archived = tg.ok("chats", "show", "@busy").splitlines()
    assert first.endswith("tg-pipeline chats add @busy")
    assert [line.split()[0] for line in archived] == ["archived", "files"]


def test_a_registry_that_cannot_be_written_is_noticed_before_telegram_is_called(
    tg: Terminal, simulator: Simulator
) -> None:
    (tg.home / "a-file").write_text("")
    tg.set("CHATS_FILE", tg.home / "a-file" / "chats.yaml")
    tg.refused("chats", "add", "@busy")
    assert list(simulator.journal) == []


def test_remove_keeps_the_files(tg: Terminal) -> None:
    tg.ok("chats", "add", "@busy")
    tg.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-02")
    removed = tg.ok("chats", "remove", "busy")
    assert removed.startswith("Removed busy.")
    assert removed.endswith("\nDagster is not running; it will see the change when it starts.\n")
    assert len(list(tg.data.rglob("*.json"))) == 3
    error = str(tg.fails(InputError, "chats", "remove", "busy"))
    assert "'busy'" in error
    assert str(tg.chats_file) in error


@pytest.fixture
def crowded(terminal: Terminal) -> Iterator[Terminal]:
    """Logged in where one title comes to the username of another chat, and one person has no name at all."""
    first = synthetic_chat("crypto_news", per_day=1, first_day=FIRST_DAY, last_day=FIRST_DAY)
    second = synthetic_chat("other_chat", per_day=1, first_day=FIRST_DAY, last_day=FIRST_DAY)
    second.entity.title = "Crypto News"
    second.entity.username = None
    someone = tl.User(id=600_000_042, access_hash=7)
    unnamed = ExportedChat(someone, None, [], Directory(someone.id, ME), Attachments(terminal.home, 0))
    with Simulator(world_of(first, second, unnamed)) as simulator:
        terminal.log_in(simulator)
        yield terminal


def test_a_slug_that_dagster_would_take_for_another_is_not_given(crowded: Terminal) -> None:
    crowded.ok("chats", "add", "@crypto_news")
    crowded.fails(SettingsError, "chats", "add", "Crypto News", "--slug", "crypto-news")
    crowded.ok("chats", "add", "Crypto News")
    first, second = load_registry(crowded.chats_file)
    assert first.slug == "crypto_news"
    assert second.slug == f"crypto-news-{str(second.id).removeprefix('-100')}"


def test_a_chat_without_any_name_is_called_by_its_id(crowded: Terminal) -> None:
    said = crowded.ok("chats", "add", "600000042")
    assert "Added id600000042: id 600000042," in said
    for verb in ("list", "show"):
        assert "None" not in crowded.ok("chats", verb, *(["id600000042"] if verb == "show" else []))


def test_a_disabled_chat_is_listed_with_its_reason(tg: Terminal) -> None:
    tg.ok("chats", "add", "@busy")
    with tg.chats_file.open("a") as file:
        file.write('  - slug: old\n    chat: "@old_chat"\n    start: soon\n')
    listed = tg.ok("chats", "list")
    assert re.search(r"^busy +@busy", listed, re.MULTILINE)
    assert re.search(r"^old +@old_chat +\? +disabled", listed, re.MULTILINE)
    assert f"{tg.chats_file}, line " in listed
    for verb in (["show", "old"], ["show", "@old_chat"]):
        tg.fails(SettingsError, "chats", *verb)
    tg.ok("chats", "remove", "old")
    assert "disabled" not in tg.ok("chats", "list")


@pytest.mark.parametrize("runs", [True, False])
def test_a_webserver_that_is_coming_up_is_waited_for(
    tg: Terminal, monkeypatch: pytest.MonkeyPatch, *, runs: bool
) -> None:
    """As right after `tg-pipeline up`; where none runs, nothing is waited for."""
    tg.chats_file.write_text("chats:\n- {slug: busy, chat: '@busy'}\n")
    home, answers = tg.home / "instance", iter([False, False, True])
    home.mkdir()
    write_webserver_url(home, NOBODY)
    if runs:
        hold_until_exit(home, LEASE, what="it")
    reloaded: list[str] = []

    def reload(url: str) -> None:
        if not runs:
            raise NobodyAnswers(url)
        reloaded.append(url)

    monkeypatch.setattr(webserver, "is_up", lambda _: next(answers))
    monkeypatch.setattr(webserver, "reload_code_location", reload)
    monkeypatch.setattr("tg_pipeline.cli.chats.time.sleep", lambda _: None)
    tg.ok("chats", "remove", "busy")
    assert bool(reloaded) is runs
    assert (next(answers, None) is None) is runs, "it is asked until it answers, or not at all"
