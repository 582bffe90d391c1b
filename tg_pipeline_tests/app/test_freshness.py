"""How long ago a fetch reached a chat's newest message, also where there was no new one."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.fetch import fetch
from tg_pipeline.app.freshness import READ_UP_TO, lags, note_read
from tg_pipeline.app.shared_state import state_store
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange, day_end
from tg_pipeline.contracts.errors import ChatPrivate
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.simulator import Error
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, account, first_days, plain_world

SECOND_DAY = FIRST_DAY + timedelta(days=1)
NOON = datetime(2024, 1, 2, 12, tzinfo=UTC).timestamp()


class Clock(SystemClock):
    """Noon of the second day, to begin with."""

    time = NOON

    def now(self) -> float:
        return self.time


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Account]:
    with account(plain_world(), tmp_path) as made:
        yield made


@pytest.fixture
def store(login: Account) -> Iterator[StateStore]:
    with closing(state_store(login.settings)) as opened:
        yield opened


def read(login: Account, clock: Clock, days: DayRange) -> None:
    asyncio.run(fetch(login.settings, RegisteredChat(slug="busy", chat="@busy"), days, clock=clock))


def test_each_fetch_that_reaches_the_present_counts_though_it_finds_nothing_new(
    login: Account, store: StateStore
) -> None:
    clock, archive, today = Clock(), open_archive(login.settings), DayRange(SECOND_DAY, SECOND_DAY)
    assert lags(store, archive, ["busy"], NOON) == {}
    for _ in range(2):
        read(login, clock, today)
        assert lags(store, archive, ["busy", "other"], clock.time + 7) == {"busy": pytest.approx(7)}
        clock.time += 600


def test_a_past_day_reaches_to_its_end_and_takes_nothing_back(login: Account, store: StateStore) -> None:
    clock, archive = Clock(), open_archive(login.settings)
    read(login, clock, first_days(1))
    assert lags(store, archive, ["busy"], NOON) == {"busy": 12 * 3_600}
    read(login, clock, first_days(2))
    read(login, clock, first_days(1))
    assert lags(store, archive, ["busy"], NOON) == {"busy": pytest.approx(0)}


def test_a_fetch_that_fails_has_reached_nothing(login: Account, store: StateStore) -> None:
    login.simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
    with pytest.raises(ChatPrivate):
        read(login, Clock(), first_days(1))
    assert store.hash_get(READ_UP_TO) == {}


def test_where_nothing_is_noted_the_newest_day_file_tells(login: Account, store: StateStore) -> None:
    read(login, Clock(), first_days(1))
    store.hash_set(READ_UP_TO, {"busy": None})
    archive, now = open_archive(login.settings), float(day_end(FIRST_DAY)) + 90
    assert lags(store, archive, ["busy"], now) == {"busy": 90}
    today = datetime.now(UTC).date()
    login.fetch("busy", DayRange(today, today))
    store.hash_set(READ_UP_TO, {"busy": b"nonsense"})
    written = archive.written_at("busy", today)
    assert written
    assert lags(store, archive, ["busy"], written + 5) == {"busy": 5}
    Path(archive.where("busy", today)).write_text("cut off")
    assert lags(store, archive, ["busy"], now) == {}


def test_a_state_that_cannot_be_written_fails_no_fetch(
    login: Account, store: StateStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.close()
    home = login.settings.home / "state" / "shared.sqlite"
    for file in home.parent.glob("shared.sqlite*"):
        file.unlink()
    home.mkdir()
    note_read(store, "busy", float(day_end(date(2024, 1, 1))))
    assert "That busy was read is not noted" in caplog.text
