"""Several accounts, several views: which one reads a chat, and what becomes of messages that it cannot see."""

import asyncio
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from telethon.tl import types as tl

from tg_pipeline.app.accounts import Wanted, with_reader
from tg_pipeline.app.archive import open_archive, peer_cache
from tg_pipeline.app.chats import register, registered
from tg_pipeline.app.fetch import fetch
from tg_pipeline.app.login import Login, logged_in, sessions_here
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import (
    ChatMoved,
    ChatNotFound,
    ChatPrivate,
    DayFileError,
    LeaseUnavailable,
    OperatorError,
    SessionRevoked,
    SettingsError,
    Undecodable,
    UsernameUnknown,
    WrongAccount,
)
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.simulator import Error, Simulator, World
from tg_pipeline.simulator.world import Chat
from tg_pipeline.simulator.worlds.dialog import DialogContent
from tg_pipeline.simulator.worlds.entities import basic_group, full_basic_group
from tg_pipeline.simulator.worlds.hidden import HiddenPast
from tg_pipeline.simulator.worlds.ids import Gaps, IdPattern
from tg_pipeline.simulator.worlds.people import People
from tg_pipeline.simulator.worlds.synthetic import SyntheticChat, synthetic_chat
from tg_pipeline.simulator.worlds.timeline import DailyTimeline
from tg_pipeline_tests.telegram_account import FIRST_DAY, ME, Account, first_days, settings_for, world_of

OTHER = tl.User(id=500_000_777, is_self=True, first_name="Other", access_hash=1)
IVAN, GROUP = 600_000_041, 4_000_077
PER_DAY = 20


def dialog(seed: int, kind: str = "user", per_day: int = PER_DAY) -> Chat:
    """A private dialog with Ivan, or a basic group, as one account sees it: `seed` decides its ids and its texts."""
    me = ME.id
    entity = tl.User(id=IVAN, access_hash=77, first_name="Ivan") if kind == "user" else basic_group(GROUP, "Friends")
    peer = tl.PeerUser(IVAN) if kind == "user" else tl.PeerChat(GROUP)
    ids = IdPattern(seed, Gaps(visible=3, missing=20 + seed))
    return SyntheticChat(
        peer=peer,
        entity=entity,
        timeline=DailyTimeline(FIRST_DAY, [per_day] * 3, seed),
        ids=ids,
        content=DialogContent(seed, peer, ids, [me, IVAN], {}),
        directory=People(seed),
        describe=lambda _: full_basic_group(entity, [ME]),
    )


def channel(username: str = "busy", per_day: int = PER_DAY) -> Chat:
    return synthetic_chat(username, per_day=per_day, first_day=FIRST_DAY, last_day=date(2024, 1, 10))


def other_world(*chats: Chat) -> World:
    return World(world_of(*chats).chats, OTHER)


@dataclass
class Two:
    """Two accounts at once: `a` is ME, `b` OTHER."""

    a: Simulator
    b: Simulator
    home: Path

    def account(self, order: str = "ab", **overrides: Any) -> Account:
        """One instance with a session of each, tried in this order as long as nothing is known of a chat."""
        sessions = [{"a": self.a, "b": self.b}[name].session for name in order]
        return Account(self.a, self.home, sessions=sessions, **overrides)

    def history_calls(self) -> tuple[int, int]:
        """Pages of history that each was asked for."""
        return tuple(sum(e["method"] == "messages.getHistory" for e in s.journal) for s in (self.a, self.b))  # type: ignore[return-value]

    def resolve_calls(self) -> int:
        """How often either was asked whom a name means."""
        methods = ("contacts.resolveUsername", "messages.getDialogs")
        return sum(entry["method"] in methods for s in (self.a, self.b) for entry in s.journal)


@contextmanager
def two(home: Path, a: World, b: World) -> Iterator[Two]:
    with Simulator(a, seed=1) as sim_a, Simulator(b, seed=2) as sim_b:
        yield Two(sim_a, sim_b, home)


def add(account: Account, name: str, slug: str, reader: int | None = None) -> RegisteredChat:
    return asyncio.run(register(account.settings, name, slug, reader))[0]


def states(account: Account, slug: str, day: date = FIRST_DAY) -> dict[int, bool]:
    """Whether each message is marked deleted, by id."""
    lines = open_archive(account.settings).lines(slug, day)
    return {message["id"]: message["deleted"] for message in map(orjson.loads, lines)}


def conditions(account: Account, slug: str, day: date = FIRST_DAY) -> list[Condition]:
    header = open_archive(account.settings).header(slug, day)
    assert header is not None
    return header.conditions


def header_account(account: Account, slug: str) -> int | None:
    header = open_archive(account.settings).header(slug, FIRST_DAY)
    assert header is not None
    return header.account


@pytest.mark.parametrize(("kind", "name"), [("user", str(IVAN)), ("chat", str(-GROUP))])
def test_a_chat_with_ids_of_an_account_is_read_with_that_account_only(tmp_path: Path, kind: str, name: str) -> None:
    with two(tmp_path, world_of(dialog(1, kind)), other_world(dialog(2, kind))) as both:
        account = both.account("ab")
        chat = add(account, name, "ivan")
        assert chat.account == ME.id
        account.fetch(chat, first_days(2))
        assert header_account(account, "ivan") == ME.id
        before = account.files()
        again = both.account("ba")
        again.fetch(chat, first_days(2))
        assert again.files() == before
        assert not both.b.journal, "no other session is even leased"


def test_an_old_entry_belongs_to_the_account_of_its_archive(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        chat = RegisteredChat(slug="ivan", chat=str(IVAN), id=IVAN)
        both.account("ab").fetch(chat, first_days(1))
        before = both.account().files()
        both.account("ba").fetch(chat, first_days(1))
        assert both.account().files() == before
        with pytest.raises(WrongAccount):
            both.account("b").fetch(chat, first_days(1))
        assert both.account().files() == before


def test_a_chat_of_an_account_that_is_not_logged_in_here_is_refused_with_its_id(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        chat = add(both.account("a"), str(IVAN), "ivan")
        both.account("a").fetch(chat, first_days(1))
        before = both.account().files()
        with pytest.raises(OperatorError) as refused:
            both.account("b").fetch(chat, first_days(1))
        assert isinstance(refused.value, WrongAccount)
        assert f"belongs to account {ME.id}, and none of the 1 session here does" in str(refused.value)
        assert both.account().files() == before
        assert both.history_calls()[1] == 0


def test_the_same_dialog_of_two_accounts_is_two_chats(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        account = both.account("ab")
        first = add(account, str(IVAN), "ivan")
        with pytest.raises(SettingsError):
            add(account, str(IVAN), "ivan-too", ME.id)
        second = add(account, str(IVAN), "ivan-too", OTHER.id)
        assert (first.account, second.account) == (ME.id, OTHER.id)
        assert registered(account.settings) == [first, second]
        for chat in (first, second):
            account.fetch(chat, first_days(1))
        assert states(account, "ivan").keys() != states(account, "ivan-too").keys()


def test_a_channel_belongs_to_nobody(tmp_path: Path) -> None:
    with two(tmp_path, world_of(channel()), other_world(channel())) as both:
        account = both.account()
        chat = add(account, "@busy", "busy")
        account.fetch(chat, first_days(1))
        assert (chat.account, header_account(account, "busy")) == (None, None)


@pytest.mark.parametrize("name", ["-100{id}", "busy"], ids=["id", "title"])
def test_the_account_that_can_read_a_chat_is_found_and_remembered(tmp_path: Path, name: str) -> None:
    closed = channel()
    closed.rename(None)  # type: ignore[attr-defined] # an Overlay
    with two(tmp_path, world_of(closed), other_world(channel("elsewhere"))) as both:
        account = both.account("ba")
        chat = add(account, name.format(id=closed.peer.channel_id), "club")
        account.fetch(chat, first_days(2))
        resolved = both.resolve_calls()
        for order in ("ba", "ab"):
            both.account(order).fetch(chat, first_days(2))
        assert both.resolve_calls() == resolved
        assert len(states(account, "club")) == PER_DAY


@pytest.mark.parametrize("skip", [0, 1])
def test_where_one_account_is_not_a_member_the_next_one_goes_on(tmp_path: Path, skip: int) -> None:
    with two(tmp_path, world_of(channel(per_day=120)), other_world(channel(per_day=120))) as both:
        both.a.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE", skip=skip))
        account = both.account("ab", fetch_pages_in_flight=1)
        account.fetch("busy", first_days(3))
        asked = both.history_calls()[0]
        report = account.fetch("busy", first_days(3))
        assert report.messages == 360
        assert both.history_calls()[0] == asked, "who was refused is not asked again"


def test_what_no_account_can_read_is_said_once_all_were_tried(tmp_path: Path) -> None:
    with two(tmp_path, world_of(channel()), other_world(channel())) as both:
        for simulator in (both.a, both.b):
            simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
        with pytest.raises(ChatPrivate) as refused:
            both.account("ba").fetch("busy", first_days(1))
        assert str(refused.value).startswith("None of the 2 accounts here can read @busy. ")
        with pytest.raises(ChatNotFound):
            both.account("ba").fetch("nobody_here", first_days(1))


def test_nobodys_username_is_asked_for_once(tmp_path: Path) -> None:
    with two(tmp_path, world_of(channel()), other_world(channel())) as both:
        for name in ("@nobody_here", "https://t.me/nobody_here"):
            before = both.resolve_calls()
            with pytest.raises(UsernameUnknown):
                add(both.account("ab"), name, "nobody")
            assert both.resolve_calls() - before == 1


def test_who_knows_a_chat_whose_username_is_gone_still_reads_it(tmp_path: Path) -> None:
    closed = channel()
    with two(tmp_path, world_of(closed), other_world(channel("elsewhere"))) as both:
        chat = add(both.account("a"), "@busy", "busy")
        closed.rename(None)  # type: ignore[attr-defined] # an Overlay
        peer_cache(both.account().settings).remember_reading(str(ME.id), chat.id or 0, can_read=False, now=0)
        assert both.account("ba").fetch(chat, first_days(1)).messages == PER_DAY


@pytest.mark.parametrize("method", ["messages.getHistory", "contacts.resolveUsername", "users.getUsers"])
def test_where_a_session_is_dead_the_next_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    with two(tmp_path, world_of(channel()), other_world(channel())) as both:
        both.a.faults.add(Error(method=method, error="SESSION_REVOKED"))
        assert both.account("ab").fetch("busy", first_days(1)).messages == PER_DAY
        (warning,) = [record for record in caplog.records if record.name == "tg_pipeline.app.accounts"]
        assert warning.levelname == "WARNING"
        both.b.faults.add(Error(method="*", error="SESSION_REVOKED"))
        with pytest.raises(SessionRevoked):
            both.account("ab").fetch("busy", first_days(1))


def test_a_chat_whose_account_has_a_dead_session_tells_of_that(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        chat = add(both.account("ab"), str(IVAN), "ivan")
        both.a.faults.add(Error(method="messages.getHistory", error="SESSION_REVOKED"))
        with pytest.raises(SessionRevoked):
            both.account("ab").fetch(chat, first_days(1))
        assert not both.history_calls()[1]


def test_what_no_other_account_can_mend_is_raised_and_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    tried: list[int] = []

    def fails(error: Exception) -> None:
        async def work(login: Login) -> None:
            tried.append(login.resolver.own_id)
            raise error

        with pytest.raises(type(error)):
            asyncio.run(with_reader(both.account("ab").settings, Wanted("@busy"), work))

    with two(tmp_path, world_of(channel()), other_world(channel())) as both:
        for error in (ChatMoved("moved"), WrongAccount("another's"), DayFileError("damaged"), Undecodable("odd")):
            tried.clear()
            fails(error)
            assert len(tried) == 1
        fails(UsernameUnknown("nobody"))
        both.b.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
        with pytest.raises(ChatPrivate):
            both.account("b").fetch("busy", first_days(1))
    assert not [record for record in caplog.records if record.name == "tg_pipeline.app.accounts"]


def test_an_account_that_joined_meanwhile_is_tried_where_no_other_can(tmp_path: Path) -> None:
    with two(tmp_path, world_of(channel()), other_world()) as both:
        chat = add(both.account("a"), "@busy", "busy")
        both.a.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
        with pytest.raises(ChatPrivate):
            both.account("a").fetch(chat, first_days(1))
        both.a.faults.clear()
        assert both.account("a").fetch(chat, first_days(1)).messages == PER_DAY


async def test_the_one_account_that_can_read_a_chat_is_waited_for(tmp_path: Path) -> None:
    closed = channel()
    closed.rename(None)  # type: ignore[attr-defined] # an Overlay
    with two(tmp_path, world_of(closed), other_world(channel("elsewhere"))) as both:
        settings = both.account("ab").settings
        chat, _ = await register(settings, "busy", "club")
        busy = [name for name in sessions_here(settings) if peer_cache(settings).account_of(name) == str(ME.id)]
        async with logged_in(settings, among=busy):
            hasty = settings.model_copy(update={"lease_wait_seconds": 0})
            with pytest.raises(LeaseUnavailable):
                await fetch(hasty, chat, first_days(1))
            resolved = both.resolve_calls()
            waiting = asyncio.create_task(fetch(settings, chat, first_days(1)))
            await asyncio.sleep(0)
            assert not waiting.done()
        report = await waiting
        assert report.messages == PER_DAY
        assert both.resolve_calls() == resolved, "who was refused is not asked again while the one that can is in use"


async def test_no_other_session_is_leased_while_the_account_of_a_chat_is_busy(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        settings = both.account("ab", lease_wait_seconds=0).settings
        chat, _ = await register(settings, str(IVAN), "ivan")
        async with logged_in(settings, among=list(sessions_here(settings))[:1]):
            with pytest.raises(LeaseUnavailable):
                await fetch(settings, chat, first_days(1))
        assert not both.b.journal


async def test_sessions_of_one_account_are_equal(tmp_path: Path) -> None:
    with two(tmp_path, world_of(channel()), other_world()) as both:
        sessions = [both.a.session, both.a.new_session(), both.b.session]
        settings = settings_for(both.a, tmp_path, sessions=sessions, lease_wait_seconds=0)
        tried = []

        async def refused(login: Login) -> None:
            tried.append(login.resolver.own_id)
            await login.resolver.resolve("No such title")

        with pytest.raises(ChatNotFound):
            await with_reader(settings, Wanted("No such title"), refused)
        assert sorted(tried) == [ME.id, OTHER.id]
        chat, _ = await register(settings, "@busy", "busy")
        names = [name for name in sessions_here(settings) if peer_cache(settings).account_of(name) != str(OTHER.id)]
        async with logged_in(settings, among=names[:1]):
            report = await fetch(settings, chat, first_days(1))
        assert report.messages == PER_DAY


async def test_the_account_that_sees_most_of_a_chat_comes_first(tmp_path: Path) -> None:
    late, whole = HiddenPast(channel(), 30), channel()
    with two(tmp_path, world_of(late), other_world(whole)) as both:
        settings = both.account("ab").settings
        await register(settings, "@busy", "busy", ME.id)
        settings.chats_path.unlink()
        chat, _ = await register(settings, "@busy", "busy", OTHER.id)
        await fetch(settings, chat, first_days(3))
        assert not conditions(both.account(), chat.slug)


def fetch_days(account: Account, days: DayRange, *, accept: bool = False) -> FetchReport:
    chat = RegisteredChat(slug="busy", chat="@busy")
    return asyncio.run(fetch(account.settings, chat, days, accept_deletions=accept))


def last_ids(chat: Chat, days: int) -> Sequence[int]:
    """The last id of each of the first days."""
    now = datetime(2024, 2, 1, tzinfo=UTC).timestamp()
    ids = [message.id for message in chat.messages(0, PER_DAY * days, now)]
    return ids[PER_DAY - 1 :: PER_DAY]


@pytest.mark.parametrize("beyond", [0, 7])
def test_history_that_becomes_hidden_is_not_deleted(tmp_path: Path, beyond: int) -> None:
    chat = HiddenPast(channel())
    with Simulator(world_of(chat)) as simulator:
        account = Account(simulator, tmp_path)
        fetch_days(account, first_days(4))
        up_to = last_ids(chat, 2)[1] + beyond
        simulator.call(lambda: chat.hide(up_to))
        before = account.calls()
        fetch_days(account, first_days(4))
        asked = account.calls() - before
        assert asked["channels.getFullChannel"] == 1
        for day in first_days(4):
            assert not any(states(account, "busy", day).values())
        hidden = [day for day in first_days(4) if conditions(account, "busy", day)]
        beginning = 3 if beyond else 2  # the first visible message of the third day follows the second day's last
        assert hidden == list(first_days(beginning))
        assert {c.first_id for day in hidden for c in conditions(account, "busy", day)} == {up_to + 1}
        simulator.call(lambda: chat.hide(0))
        fetch_days(account, first_days(4))
        assert not any(conditions(account, "busy", day) for day in first_days(4))


def test_a_message_that_is_deleted_after_the_first_visible_one_is_deleted(tmp_path: Path) -> None:
    base = synthetic_chat("busy", per_day=PER_DAY, first_day=FIRST_DAY, last_day=date(2024, 1, 10))
    chat = HiddenPast(base)
    with Simulator(world_of(chat)) as simulator:
        account = Account(simulator, tmp_path)
        fetch_days(account, first_days(2))
        gone = [n for n in states(account, "busy", first_days(2).last) if n > last_ids(chat, 1)[0]][10]
        simulator.call(lambda: base.delete([gone]))
        simulator.call(lambda: chat.hide(last_ids(chat, 1)[0]))
        fetch_days(account, first_days(2))
        assert [n for n, deleted in states(account, "busy", first_days(2).last).items() if deleted] == [gone]


def test_days_before_an_account_joined_are_not_called_whole(tmp_path: Path) -> None:
    chat = HiddenPast(channel())
    chat.hide(last_ids(chat, 3)[2] - 5)
    with Simulator(world_of(chat)) as simulator:
        account = Account(simulator, tmp_path)
        fetch_days(account, first_days(5))
        hidden = [day for day in first_days(5) if conditions(account, "busy", day)]
        assert hidden == list(first_days(3))
        (found,) = open_archive(account.settings).verify_day("busy", FIRST_DAY)
        assert (found.kind, found.is_warning) == ("not_visible", True)
        before = account.files()
        fetch_days(account, DayRange(FIRST_DAY, FIRST_DAY))
        assert account.files() == before


@pytest.mark.parametrize("kind", ["user", "chat"])
@pytest.mark.parametrize("everything", [False, True])
def test_cleared_history_of_a_dialog_is_not_deleted(tmp_path: Path, kind: str, *, everything: bool) -> None:
    chat = HiddenPast(dialog(1, kind))
    name = str(IVAN if kind == "user" else -GROUP)
    with Simulator(world_of(chat)) as simulator:
        account = Account(simulator, tmp_path)
        entry = add(account, name, "ivan")
        account.fetch(entry, first_days(3))
        up_to = last_ids(chat, 3)[2 if everything else 1]
        simulator.call(lambda: chat.hide(up_to))
        account.fetch(entry, first_days(3))
        for day in first_days(3):
            assert not any(states(account, "ivan", day).values())
        assert [c.kind for c in conditions(account, "ivan")] == ["not_visible"]
        assert bool(conditions(account, "ivan", first_days(3).last)) is everything


def test_a_history_that_is_gone_without_a_reason_is_held_back_until_it_is_back_or_accepted(tmp_path: Path) -> None:
    with Simulator(world_of(channel(per_day=4))) as simulator:
        account = Account(simulator, tmp_path)
        fetch_days(account, first_days(5))
        before = {day: states(account, "busy", day) for day in first_days(5)}
        (chat,) = simulator.world.chats.values()
        base = chat.messages(0, 100, datetime(2024, 2, 1, tzinfo=UTC).timestamp())
        simulator.call(lambda: chat.delete([m.id for m in base]))  # type: ignore[attr-defined] # an Overlay
        report = fetch_days(account, first_days(5))
        held = [day for day, _ in report.with_condition("held_back")]
        assert held[:2] == list(first_days(2)), "small days too, where the whole read lacks so many"
        assert {day: states(account, "busy", day) for day in held} == {day: before[day] for day in held}
        report = fetch_days(account, first_days(5), accept=True)
        assert not report.with_condition("held_back")
        assert all(all(states(account, "busy", day).values()) for day in first_days(5))


def forget_account(account: Account, slug: str) -> dict[str, bytes]:
    """Make the archive one of version 1.0.0, which does not say whose it is; its files."""
    for path in Path(account.settings.data_uri, slug).rglob("*.json"):
        text = path.read_bytes().replace(b'"schema_version":"1.1.0"', b'"schema_version":"1.0.0"')
        path.write_bytes(re.sub(rb'"(account|conditions)":.*\n', b"", text))
    return account.files()


@pytest.mark.parametrize("kind", ["user", "chat"])
@pytest.mark.parametrize(
    "days",
    [first_days(1), first_days(3), DayRange(first_days(3).last, first_days(3).last)],
    ids=["archived", "both", "new"],
)
def test_an_archive_that_names_no_account_is_not_gone_on_with_by_another_one(
    tmp_path: Path, kind: str, days: DayRange
) -> None:
    with two(tmp_path, world_of(dialog(1, kind)), other_world(dialog(2, kind))) as both:
        number = IVAN if kind == "user" else GROUP
        chat = RegisteredChat(slug=f"id{number}", chat=str(number if kind == "user" else -number))
        both.account("a").fetch(chat, first_days(2))
        before = forget_account(both.account(), chat.slug)
        with pytest.raises(WrongAccount):
            both.account("b").fetch(chat, days)
        assert both.account().files() == before
        both.account("a").fetch(chat, first_days(3))
        assert header_account(both.account(), chat.slug) == ME.id


def test_an_archive_of_another_account_than_the_registered_one_is_refused(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        chat = RegisteredChat(slug=f"id{IVAN}", chat=str(IVAN))
        both.account("a").fetch(chat, first_days(1))
        before = both.account().files()
        chat = RegisteredChat(slug=chat.slug, chat=str(IVAN), id=IVAN, account=OTHER.id)
        with pytest.raises(WrongAccount) as refused:
            both.account("b").fetch(chat, DayRange(first_days(3).last, first_days(3).last))
        assert str(ME.id) in str(refused.value)
        assert both.account().files() == before


@pytest.mark.parametrize(("foreign", "asked"), [(0, 1), (1, 0), (1, 1)], ids=["before", "after", "the same day"])
def test_files_of_another_account_that_were_copied_in_are_not_joined_to(
    tmp_path: Path, foreign: int, asked: int
) -> None:
    days = list(first_days(3))
    with two(tmp_path, world_of(dialog(1)), other_world(dialog(2))) as both:
        chat = RegisteredChat(slug=f"id{IVAN}", chat=str(IVAN), id=IVAN)
        both.account("a").fetch(chat, DayRange(days[foreign], days[foreign]))
        copied = both.account().files()
        shutil.rmtree(both.account().settings.data_uri)
        chat = chat.model_copy(update={"account": OTHER.id})
        both.account("b").fetch(chat, DayRange(days[2], days[2]))
        for name, content in copied.items():
            if name != "progress.json":
                Path(both.account().settings.data_uri, name).write_bytes(content)
        before = both.account().files()
        with pytest.raises(WrongAccount) as refused:
            both.account("b").fetch(chat, DayRange(days[asked], days[asked]))
        assert str(ME.id) in str(refused.value)
        assert both.account().files() == before


@pytest.mark.parametrize("kind", ["user", "chat"])
@pytest.mark.parametrize("is_named", [False, True])
def test_a_chat_is_not_bound_to_an_account_whose_view_its_files_are_not(
    tmp_path: Path, kind: str, *, is_named: bool
) -> None:
    with two(tmp_path, world_of(dialog(1, kind)), other_world(dialog(2, kind))) as both:
        number = IVAN if kind == "user" else GROUP
        name, slug = str(number if kind == "user" else -number), f"id{number}"
        both.account("a").fetch(RegisteredChat(slug=slug, chat=name), first_days(2))
        if not is_named:
            forget_account(both.account(), slug)
        before = both.account().files()
        with pytest.raises(WrongAccount):
            add(both.account("b"), name, slug)
        assert both.account().files() == before
        chat = add(both.account("a"), name, slug)
        both.account("a").fetch(chat, first_days(3))
        assert chat.account == header_account(both.account(), slug) == ME.id


def test_an_interrupted_read_is_not_gone_on_with_by_another_account(tmp_path: Path) -> None:
    with two(tmp_path, world_of(dialog(1, per_day=150)), other_world(dialog(2, per_day=150))) as both:
        chat = RegisteredChat(slug=f"id{IVAN}", chat=str(IVAN), id=IVAN)
        both.a.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE", skip=1))
        with pytest.raises(ChatPrivate):
            both.account("a", fetch_pages_in_flight=1).fetch(chat, first_days(1))
        both.account("b", fetch_pages_in_flight=1).fetch(chat, first_days(1))
        assert header_account(both.account(), chat.slug) == OTHER.id
        assert len(states(both.account(), chat.slug)) == 150


@pytest.mark.parametrize("per_day", [1, PER_DAY])
def test_an_ordinary_fetch_asks_what_is_visible_only_where_ids_are_missing_before_a_day(
    tmp_path: Path, per_day: int
) -> None:
    with Simulator(world_of(channel(per_day=per_day))) as simulator:
        account = Account(simulator, tmp_path)
        chat = add(account, "@busy", "busy")
        asked = account.calls()["channels.getFullChannel"]
        for day in first_days(10):
            account.fetch(chat, DayRange(day, day))
        account.fetch(chat, first_days(10))
        assert account.calls()["channels.getFullChannel"] <= asked + 2
