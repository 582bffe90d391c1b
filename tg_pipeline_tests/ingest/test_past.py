"""Where the history begins that an account sees, whatever the dates of single messages say."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from tg_pipeline.contracts.days import DayRange, day_end, day_of, day_start
from tg_pipeline.contracts.history import Visible
from tg_pipeline_tests.ingest.archive import Archive, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said

DAY = date(2024, 3, 1)
DAYS = [DAY + timedelta(days=n) for n in range(6)]
ALL = DayRange(DAYS[0], DAYS[-1])
LATER = float(day_start(DAY) + 9 * 86_400)
PER_DAY = 72
FIRST = 3 * PER_DAY + 31
"""The lowest id that the second account may see, of the fourth day."""
MESSAGES = [Said(n + 1, day_start(DAY) + n * 1_200) for n in range(7 * PER_DAY)]


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        yield files


def stray(number: int, at: int) -> list[Said]:
    return [Said(m.id, at if m.id == number else m.at) for m in MESSAGES]


def newcomer(messages: list[Said]) -> MemoryHistory:
    left = [m for m in messages if m.id >= FIRST]
    begins = sorted(m.at for m in left[:5])[2]  # as ChatHistory.visible
    return MemoryHistory(left, LATER, seen=Visible(FIRST, begins))


@pytest.mark.parametrize("number", [FIRST - 1, FIRST, FIRST + 20])
@pytest.mark.parametrize("at", [day_start(DAY) + 60, day_end(DAYS[2]) - 60, day_start(DAYS[5])])
@pytest.mark.parametrize("whole_before", [(), (ALL,), (DayRange(DAY, DAYS[2]),)])
@pytest.mark.parametrize("days", [ALL, DayRange(DAYS[3], DAYS[5])])
def test_one_message_out_of_order_hides_nothing(
    archive: Archive, number: int, at: int, whole_before: tuple[DayRange, ...], days: DayRange
) -> None:
    messages = stray(number, at)
    for before in whole_before:
        archive.fetch(MemoryHistory(messages, LATER), before)
    archive.fetch(newcomer(messages), days)
    expected = expected_ids(messages, days, LATER)
    for day in days:
        header = archive.store.header(CHAT, day)
        assert header is not None
        assert not any(message["deleted"] for message in archive.messages(day))
        if day != day_of(at):
            assert archive.ids(DayRange(day, day))[day] == expected[day] or header.conditions, day


@pytest.mark.parametrize("numbers", [{0, 1}, {0, 2}, {1, 2}, {0, 4}])
@pytest.mark.parametrize("days", [ALL, DayRange(DAYS[3], DAYS[3])])
def test_two_of_the_first_messages_out_of_order_hide_nothing(
    archive: Archive, numbers: set[int], days: DayRange
) -> None:
    messages = [Said(m.id, day_start(DAY) + m.id if m.id - FIRST in numbers else m.at) for m in MESSAGES]
    archive.fetch(newcomer(messages), days)
    expected = expected_ids(messages, days, LATER)
    for day in days:
        header = archive.store.header(CHAT, day)
        assert header is not None
        assert archive.ids(DayRange(day, day))[day] == expected[day] or header.conditions, day


@pytest.mark.parametrize("account", [None, 7])
@pytest.mark.parametrize("hidden", [3 * PER_DAY, FIRST - 1, 4 * PER_DAY, 7 * PER_DAY])
@pytest.mark.parametrize("asked", [[3], [4], [5], [3, 4, 5], [6]])
def test_what_was_hidden_between_two_fetches_is_not_called_whole(
    archive: Archive, hidden: int, asked: list[int], account: int | None
) -> None:
    """Of a private dialog (`account`) nothing tells it but that all that was archived is gone."""
    archive.fetch(MemoryHistory(MESSAGES, LATER, account=account), DayRange(DAYS[0], DAYS[2]))
    left = [m for m in MESSAGES if m.id > hidden]
    seen = Visible(hidden + 1 if left or account is None else None, left[0].at if left else None)
    expected = expected_ids(MESSAGES, DayRange(DAYS[0], DAYS[5] + timedelta(days=1)), LATER)
    for day in (DAYS[0] + timedelta(days=n) for n in asked):
        history = MemoryHistory(left, LATER, seen=seen, account=account)
        archive.fetch(history, DayRange(day, day))
        header = archive.store.header(CHAT, day)
        assert header is not None
        assert archive.ids(DayRange(day, day))[day] == expected[day] or header.conditions, day


@pytest.mark.parametrize("per_day", [0, 2, PER_DAY])
def test_a_dialog_that_was_not_cleared_costs_a_call_more_on_empty_days_only(archive: Archive, per_day: int) -> None:
    messages = [m for m in MESSAGES if m.id <= PER_DAY or (m.id - 1) % PER_DAY < per_day]
    calls = []
    for day in DAYS:
        history = MemoryHistory(messages, LATER, account=7)
        archive.fetch(history, DayRange(day, day))
        calls.append(history.calls)
        header = archive.store.header(CHAT, day)
        assert header is not None
        assert not header.conditions
    assert max(calls) <= 2


@pytest.mark.parametrize("numbers", [{FIRST + 20}, {FIRST, FIRST + 9}, {FIRST + 2, FIRST + 30, FIRST + 31}])
def test_a_day_whose_file_is_gone_is_read_from_its_beginning(archive: Archive, numbers: set[int]) -> None:
    messages = [Said(m.id, day_end(DAYS[2]) - 5 if m.id in numbers else m.at) for m in MESSAGES]
    for day in DAYS[:4]:
        archive.fetch(MemoryHistory(messages, LATER), DayRange(day, day))
    archive.store.path(CHAT, DAYS[3]).unlink()
    archive.fetch(MemoryHistory(messages, LATER), DayRange(DAYS[3], DAYS[3]))
    assert archive.ids(DayRange(DAY, DAYS[3])) == expected_ids(messages, DayRange(DAY, DAYS[3]), LATER)
