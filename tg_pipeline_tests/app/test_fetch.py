"""The one fetch: leases, archives that know their chat, and what goes wrong half way."""

import asyncio
import json
import logging
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tg_pipeline.app import fetch as fetching
from tg_pipeline.app.archive import newest_header, open_archive, spool_root
from tg_pipeline.app.fetch import fetch, fetch_through_outages
from tg_pipeline.app.login import logged_in
from tg_pipeline.contracts import day_file
from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import (
    ChatMoved,
    ChatPrivate,
    CircuitOpen,
    FloodWaitError,
    InputError,
    LeaseUnavailable,
    SessionRevoked,
    Stopped,
    StorageError,
)
from tg_pipeline.contracts.policy import OUTAGE_RETRIES
from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.simulator import Error, PageFault, Simulator
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.state.store_lease import ANOTHER_MACHINE
from tg_pipeline.storage import progress as progress_file
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline_tests.contracts.schema_checks import check_day_file
from tg_pipeline_tests.live_simulator import live_simulator, program
from tg_pipeline_tests.log_lines import json_lines
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, account, first_days, plain_world, world_of

NOW = datetime(2024, 6, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Account]:
    """A chat of 30 messages a day for ten days."""
    with account(plain_world(per_day=30, days=10), tmp_path) as made:
        yield made


def archived_chat_id(store: Archive, slug: str) -> int | None:
    header = newest_header(store, slug)
    return header.chat_id if header else None


def is_whole(account: Account) -> bool:
    settings = account.settings
    return not list(open_archive(settings).verify_chat("busy", today=datetime.now(UTC).date()))


def test_connecting_and_files_are_logged_with_their_durations_for_debugging(login: Account) -> None:
    store = open_archive(login.settings)
    file = store.where("busy", FIRST_DAY)

    def timed(logger: str, about: str) -> int:
        return len(
            [
                line
                for line in written()
                if line["logger"] == logger and about in line["event"] and "duration_ms" in line
            ]
        )

    with json_lines("DEBUG") as written:
        login.fetch("busy", first_days(1))
        assert timed("tg_pipeline.telegram.wire", "127.0.0.1") == 1
        fetched = timed("tg_pipeline.machine.atomic", file)
        assert fetched
        store.load("busy", FIRST_DAY)
        assert timed("tg_pipeline.machine.atomic", file) == fetched + 1


def test_what_is_fetched_verifies(login: Account) -> None:
    login.fetch("busy", first_days(10))
    assert is_whole(login)
    artifacts = login.files()
    for name, text in artifacts.items():
        version = progress_file.SCHEMA_VERSION if name == progress_file.FILE_NAME else day_file.SCHEMA_VERSION
        assert (json.loads(text)["schema_version"], json.loads(text)["timezone"]) == (version, "UTC")


def test_what_is_counted_agrees_with_its_noun(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with account(plain_world(per_day=1, days=1), tmp_path) as login:
        login.fetch("busy", first_days(1))
    assert "1 message read with" in caplog.text
    assert not re.search(r"\b1 (messages|calls|days)\b", caplog.text)


def test_a_day_in_the_future_is_refused_before_anything_is_asked(login: Account) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with pytest.raises(InputError, match=str(tomorrow)) as refused:
        login.fetch("busy", DayRange(tomorrow, tomorrow))
    assert refused.value.field == "to"
    assert not login.simulator.journal


@pytest.mark.parametrize(
    ("error", "expected"),
    [("SESSION_REVOKED", SessionRevoked), ("AUTH_KEY_UNREGISTERED", SessionRevoked), ("CHANNEL_PRIVATE", ChatPrivate)],
)
def test_what_ends_a_run_half_way_keeps_its_days_and_the_next_run_goes_on(
    login: Account, error: str, expected: type[Exception]
) -> None:
    login.simulator.faults.add(Error(method="messages.getHistory", error=error, skip=2))
    with pytest.raises(expected, match=error):
        login.fetch("busy", first_days(10))
    kept = login.files()
    assert len([name for name in kept if "discussions" in name]) >= 2  # a page at least, wherever it begins
    login.simulator.faults.clear()
    before = login.calls()["messages.getHistory"]
    report = login.fetch("busy", first_days(10))
    assert report.resumed_days
    assert login.calls()["messages.getHistory"] - before <= 5
    assert {name: login.files()[name] for name in kept if "discussions" in name}.items() <= login.files().items()
    assert is_whole(login)


def test_a_command_sent_again_resumes_the_day_it_stopped_in(tmp_path: Path) -> None:
    days = first_days(2)
    with account(plain_world(per_day=1_000, days=2), tmp_path, fetch_pages_in_flight=1) as login:
        login.simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE", skip=15))
        with pytest.raises(ChatPrivate):
            login.fetch("busy", days)
        login.simulator.faults.clear()
        asked = login.calls()["messages.getHistory"]
        unsealed = DayRange(days.last, days.last)  # what Dagster makes of the range: the first day is archived
        assert login.fetch("busy", unsealed).messages < 600
        assert login.calls()["messages.getHistory"] - asked <= 7 + 2, "one looks at the half-read day first"
        assert is_whole(login)
        assert interrupted_ranges(spool_root(login.settings), "busy") == []


def test_an_archive_refuses_another_chat_under_its_name(tmp_path: Path) -> None:
    first = synthetic_chat("first", per_day=3, first_day=FIRST_DAY)
    second = synthetic_chat("second", per_day=3, first_day=FIRST_DAY)
    with account(world_of(first, second), tmp_path) as login:
        login.fetch("first", first_days(3))
        known = archived_chat_id(open_archive(login.settings), "first")
        before = login.files()
        first.rename(None)
        second.rename("first")
        assert login.fetch("first", first_days(4)).chat_id == known
        shutil.rmtree(login.settings.home / "state")
        with pytest.raises(ChatMoved, match=f"^@first .*{known}"):
            login.fetch("first", first_days(5))
        assert before.items() <= (login.files() | {"progress.json": before["progress.json"]}).items()


def test_an_archive_knows_its_chat_from_its_newest_file_that_can_be_read(login: Account) -> None:
    store = open_archive(login.settings)
    assert archived_chat_id(store, "busy") is None
    report = login.fetch("busy", first_days(3))
    Path(store.where("busy", first_days(3).last)).write_bytes(b"{")
    assert archived_chat_id(store, "busy") == report.chat_id


@pytest.mark.parametrize("nonsense", ["access_hash = 'abc'", "id = 'x'", "kind = 'foo'"])
def test_a_chat_that_is_remembered_wrongly_is_resolved_anew(login: Account, nonsense: str) -> None:
    login.fetch("busy", first_days(2))
    with closing(sqlite3.connect(login.settings.home / "state" / "peers.sqlite")) as db, db:
        db.execute(f"UPDATE peers SET {nonsense}")  # noqa: S608 - ours
    db.close()
    login.fetch("busy", first_days(3))
    assert login.calls()["contacts.resolveUsername"] == 2
    assert is_whole(login)


def test_wrong_pages_change_nothing_but_the_number_of_calls(tmp_path: Path) -> None:
    world = plain_world(per_day=600, days=12)
    with account(world, tmp_path / "calm") as calm:
        calm.fetch("busy", first_days(12))
        files = calm.files()
    with account(world, tmp_path / "wild", fetch_pages_in_flight=3) as wild:
        for how in ("repeated", "reordered", "short"):
            wild.simulator.faults.add(PageFault(how=how, probability=0.05))
        report = wild.fetch("busy", first_days(12))
        assert report.rereads
        assert wild.files() == files


async def test_a_session_is_leased_for_as_long_as_it_is_connected(login: Account) -> None:
    settings = login.settings.model_copy(update={"lease_wait_seconds": 0})
    async with logged_in(settings):
        with pytest.raises(LeaseUnavailable, match=r"^The Telegram session ") as refused:
            async with logged_in(settings):
                pass
        assert refused.value.holder.startswith(f"process {os.getpid()} ")
    async with logged_in(settings) as again:
        assert await again.connection.own_id()


async def test_machines_that_share_a_redis_share_sessions_and_limits(login: Account, tmp_path: Path) -> None:
    session = login.simulator.new_session()
    with local_redis(tmp_path / "redis") as url:
        one, two = (
            Account(login.simulator, tmp_path / n, sessions=[session], redis_url=url, lease_wait_seconds=0).settings
            for n in ("one", "two")
        )
        async with logged_in(one) as first:
            with pytest.raises(LeaseUnavailable) as refused:
                async with logged_in(two):
                    pass
            assert refused.value.holder == ANOTHER_MACHINE
            login.simulator.faults.add(Error(method="users.getUsers", error="FLOOD_WAIT_500", count=1))
            with pytest.raises(FloodWaitError):
                await first.connection.own_id()
        asked = login.calls()["users.getUsers"]
        with pytest.raises(FloodWaitError):
            async with logged_in(two) as second:
                await second.connection.own_id()
        assert login.calls()["users.getUsers"] <= asked + 1, "one call more, to learn whose session it is"


def test_an_archive_that_cannot_be_written_is_noticed_before_telegram_is_called(login: Account) -> None:
    Path(login.settings.data_uri).write_text("a file in its place")
    with pytest.raises(StorageError):
        login.fetch("busy", first_days(1))
    assert not login.calls()


async def test_a_redis_that_is_away_stops_nobody(
    login: Account, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = Account(login.simulator, tmp_path / "away", sessions=[login.simulator.new_session()])
    settings = away.settings.model_copy(update={"redis_url": SecretStr("redis://:hush@127.0.0.1:1/0")})
    report = await fetch(settings, RegisteredChat(slug="busy", chat="@busy"), first_days(10))
    assert report.messages == 300
    (said,) = (record.getMessage() for record in caplog.records if "Redis" in record.getMessage())
    assert said.startswith("Redis at 127.0.0.1:1 ")
    assert "hush" not in said


async def test_of_several_sessions_each_serves_one_and_they_share_what_they_know(
    login: Account, tmp_path: Path
) -> None:
    sessions = [login.simulator.new_session() for _ in range(2)]
    two = Account(login.simulator, tmp_path / "two", sessions=sessions, lease_wait_seconds=0)
    async with logged_in(two.settings) as first, logged_in(two.settings) as second:
        await first.resolver.resolve("@busy")
        await second.resolver.resolve("@busy")
        with pytest.raises(LeaseUnavailable, match=r"^Each of the 2 Telegram sessions ") as refused:
            async with logged_in(two.settings):
                pass
        assert refused.value.holder.startswith(f"process {os.getpid()} ")
    assert login.calls()["contacts.resolveUsername"] == 1


@pytest.mark.parametrize("days", [first_days(5), first_days(8)])
def test_two_fetches_of_one_chat_at_once_take_turns_or_are_refused(
    login: Account, tmp_path: Path, days: DayRange
) -> None:
    chat = RegisteredChat(slug="busy", chat="@busy")
    sessions = [login.simulator.new_session() for _ in range(2)]

    async def both(wait: float) -> list[object]:
        account = Account(login.simulator, tmp_path, sessions=sessions, lease_wait_seconds=wait)
        runs = [fetch(account.settings, chat, range_) for range_ in (first_days(5), days)]
        return list(await asyncio.gather(*runs, return_exceptions=True))

    assert sorted(type(result).__name__ for result in asyncio.run(both(0))) == ["FetchReport", "LeaseUnavailable"]
    assert [type(result).__name__ for result in asyncio.run(both(20))] == ["FetchReport"] * 2


def test_two_machines_fetch_one_chat_in_turns_or_are_refused(login: Account, tmp_path: Path) -> None:
    chat = RegisteredChat(slug="busy", chat="@busy")
    sessions = [login.simulator.new_session() for _ in range(2)]

    async def both(wait: float) -> list[object]:
        runs = []
        for n, session in enumerate(sessions):
            home = tmp_path / f"machine{n}"
            shared = {"data_uri": str(tmp_path / "data"), "redis_url": url, "lease_wait_seconds": wait}
            settings = Account(login.simulator, home, sessions=[session], **shared).settings
            runs.append(fetch(settings, chat, first_days(5)))
        return list(await asyncio.gather(*runs, return_exceptions=True))

    with local_redis(tmp_path / "redis") as url:
        assert sorted(type(result).__name__ for result in asyncio.run(both(0))) == ["FetchReport", "LeaseUnavailable"]
        assert [type(result).__name__ for result in asyncio.run(both(60))] == ["FetchReport"] * 2
    assert is_whole(login)


@pytest.mark.slow
def test_processes_on_one_session_take_turns_and_say_nothing_secret(tmp_path: Path) -> None:
    with live_simulator(tmp_path, "--latency-ms", "30") as simulator:
        environment = simulator.environment(tmp_path) | {"LOG_LEVEL": "DEBUG"}
        ranges = [("2024-03-01", "2024-03-02"), ("2024-03-03", "2024-03-04"), ("2024-03-05", "2024-03-05")]
        processes = [
            program("fetch", "@demo_busy", "--from", first, "--to", last, environment=environment)
            for first, last in ranges
        ]
        said = "".join("".join(process.communicate()) for process in processes)
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert "!auth_key_duplicated" not in simulator.calls()
        connections = [entry["connection"] for entry in simulator.entries()]
        assert connections == sorted(connections)
        assert len(set(connections)) == 3
        assert re.search(rf"The Telegram session .* process ({'|'.join(str(p.pid) for p in processes)}) since ", said)
        assert simulator.session not in said
        assert simulator.api_hash not in said
    files = list((tmp_path / "data" / "demo_busy" / "2024").iterdir())
    assert len(files) == 5
    for file in files:
        check_day_file(file.read_bytes())
    written = {*(tmp_path / "data").rglob("*"), *(tmp_path / "instance").rglob("*")}
    assert {path for path in written if path.stat().st_mode & 0o077} == set(), "messages are read by their owner alone"


def test_nothing_secret_is_logged_or_written_in_the_open(
    login: Account, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    login.simulator.faults.add(Error(method="messages.getHistory", error="RPC_CALL_FAIL", count=1))
    report = login.fetch("busy", first_days(4))
    secrets = [login.simulator.session, login.simulator.api_hash, "9996621234"]
    said = caplog.text + repr(report) + repr(login.settings)
    assert "RPC_CALL_FAIL" in said
    assert not [secret for secret in secrets if secret in said]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path


def test_a_world_that_changes_is_followed_by_the_next_fetch(tmp_path: Path) -> None:
    clock = Clock(NOW)
    chat = Overlay(synthetic_chat("busy", per_day=20, first_day=FIRST_DAY), clock)
    with Simulator(world_of(chat), clock=clock) as simulator:
        login = Account(simulator, tmp_path)
        today = datetime.fromtimestamp(NOW, UTC).date()
        days = DayRange(today - timedelta(days=2), today)
        login.fetch("busy", days)
        first = open_archive(login.settings).load("busy", days.first)
        chat.edit(first.messages[3].id, "changed my mind")
        chat.delete([first.messages[5].id])
        clock.now += 3 * 86_400
        new = chat.add("said later")
        clock.now += 1
        report = login.fetch("busy", DayRange(days.first, today + timedelta(days=3)))
        by_day = {day.day: day for day in report.days}
        assert (by_day[days.first].edited, by_day[days.first].deleted) == (1, 1)
        assert by_day[today].sealed
        assert by_day[today + timedelta(days=3)].last_message_id == new


BUSY = RegisteredChat(slug="busy", chat="@busy")


class Waiting:
    """Time that passes when somebody sleeps. `on_pause` hears of sleeps that are longer than a call's own retries."""

    def __init__(self, on_pause: Callable[[], object]) -> None:
        self.began = self.time = time.time()
        self.on_pause = on_pause

    def now(self) -> float:
        return self.time

    steady = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        if seconds > 10:
            self.on_pause()
        await asyncio.sleep(0)


@pytest.mark.parametrize("pages_in_flight", [1, 2])
def test_an_outage_is_sat_out_and_the_fetch_goes_on_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pages_in_flight: int
) -> None:
    with account(plain_world(), tmp_path, fetch_pages_in_flight=pages_in_flight) as login:
        login.simulator.faults.add(Error(method="messages.getHistory", error="RPC_CALL_FAIL", skip=1))

        def over() -> None:
            if clock.time - clock.began > 100:
                login.simulator.faults.clear()

        clock = Waiting(over)
        report = asyncio.run(fetch_through_outages(login.settings, BUSY, first_days(10), clock=clock))
        assert report.messages < 300, "what was read before the outage was read again"
        assert 120 <= clock.time - clock.began < 130
        assert is_whole(login)
        assert len(login.files()) == 11
    said = [record.getMessage() for record in caplog.records if "tg_pipeline.app" in record.name]
    assert said[0].endswith("(RPC_CALL_FAIL). What was read is kept.")
    assert said[1:3] == [f"Going on by itself in {seconds} s." for seconds in (60, 30)]


def test_an_outage_without_end_is_given_up_with_its_cause(login: Account) -> None:
    login.fetch("busy", first_days(2))
    before = len(login.simulator.journal)
    login.simulator.faults.add(Error(error="RPC_CALL_FAIL"))
    clock = Waiting(lambda: None)
    with pytest.raises(CircuitOpen, match=r" 60 s\. .* \(RPC_CALL_FAIL\)\.$"):
        asyncio.run(fetch_through_outages(login.settings, BUSY, first_days(10), clock=clock))
    assert clock.time - clock.began == pytest.approx(60 * OUTAGE_RETRIES, abs=20)
    assert len(login.simulator.journal) - before < OUTAGE_RETRIES + 10


def test_outages_with_messages_read_between_them_are_not_added_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "OUTAGE_RETRIES", 1)
    with account(plain_world(per_day=100), tmp_path, fetch_pages_in_flight=1) as login:
        outages = iter(range(3))

        def again() -> None:
            login.simulator.faults.clear()
            if clock.time - clock.began > 40 and next(outages, None) is not None:
                login.simulator.faults.add(Error(method="messages.getHistory", error="RPC_CALL_FAIL", skip=4))

        clock = Waiting(again)
        login.simulator.faults.add(Error(method="messages.getHistory", error="RPC_CALL_FAIL", skip=1))
        asyncio.run(fetch_through_outages(login.settings, BUSY, first_days(10), clock=clock))
        assert clock.time - clock.began > 150
        assert is_whole(login)


def test_the_wait_for_the_end_of_an_outage_ends_at_once_when_asked_to_stop(login: Account) -> None:
    login.simulator.faults.add(Error(method="messages.getHistory", error="RPC_CALL_FAIL", skip=1))

    async def stopped() -> None:
        stop = Stop()
        clock = Waiting(stop.ask)
        with pytest.raises(Stopped):
            await fetch_through_outages(login.settings, BUSY, first_days(10), stop, clock=clock)
        assert clock.time - clock.began < 50

    asyncio.run(stopped())


class Clock:
    """The world's clock."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
