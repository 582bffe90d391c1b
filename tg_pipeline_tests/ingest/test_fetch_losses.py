"""Reads of a range that lack much of what is archived of it: what is held back, and what is believed to be deleted."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta

import pytest

from tg_pipeline.contracts.days import DayRange, day_end, day_start
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline_tests.ingest.archive import Archive, Killed, Life, temporary_archive
from tg_pipeline_tests.ingest.memory_history import MemoryHistory, Said

FIRST = date(2024, 5, 1)
RANGE = DayRange(FIRST, FIRST + timedelta(days=29))
NOW = float(day_end(RANGE.last) + 86_400)
PER_DAY = 9
HISTORY = [
    Said(n + 1, day_start(FIRST + timedelta(days=n // PER_DAY)) + n % PER_DAY * 3_600)
    for n in range(PER_DAY * len(RANGE))
]


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        files.fetch(MemoryHistory(HISTORY, NOW), RANGE)
        yield files


def reread(
    archive: Archive,
    keep: Callable[[int], bool],
    pages_in_flight: int = 1,
    life: Life | None = None,
    *,
    accept: bool = False,
) -> FetchReport:
    left = [message for message in HISTORY if keep(message.id)]
    history = MemoryHistory(left, NOW)
    return archive.fetch(history, RANGE, pages_in_flight=pages_in_flight, life=life, accept_deletions=accept)


def deleted(archive: Archive) -> list[int]:
    return [message["id"] for day in RANGE for message in archive.messages(day) if message["deleted"]]


@pytest.mark.parametrize("pages_in_flight", [1, 3])
@pytest.mark.parametrize(
    ("keep", "days"),
    [
        (lambda n: n == 1, 30),
        (lambda n: n <= 135, 15),
        (lambda _: False, 30),
        (lambda n: n % 9 == 1, 30),
        (lambda n: (n - 1) % 18 < 9, 15),
        (lambda n: n <= 100 or n > 130, 3),
    ],
    ids=["all but one", "half", "everything", "most of each day", "every second day", "some days"],
)
def test_a_loss_over_many_small_days_is_held_back(
    archive: Archive, keep: Callable[[int], bool], days: int, pages_in_flight: int
) -> None:
    report = reread(archive, keep, pages_in_flight)
    assert len(report.with_condition("held_back")) >= days
    assert len(deleted(archive)) <= 4, "of days of which more than half is there"
    assert archive.is_tidy()


def test_deletions_here_and_there_are_recorded(archive: Archive) -> None:
    gone = [3, *range(10, 18), 40, 41, 42, *range(91, 97), 200, 270]
    report = reread(archive, lambda n: n not in gone)
    assert deleted(archive) == gone
    assert sum(day.deleted for day in report.days) == len(gone)
    assert len(report.days) == len(RANGE)


@pytest.mark.parametrize("step", [7, 40, 150])
def test_a_read_that_is_killed_again_and_again_decides_alike(archive: Archive, step: int) -> None:
    gone = [*range(10, 19), *range(91, 97), *range(181, 202)]
    for last in range(3, 400, step):
        with suppress(Killed):
            reread(archive, lambda n: n not in gone, life=Life(last))
            break
    assert deleted(archive) == [*range(10, 19), *range(91, 97), 199, 200, 201]
    held_back = [day for day in RANGE if (header := archive.store.header("chat", day)) and header.conditions]
    assert held_back == [FIRST + timedelta(days=n) for n in (20, 21)]
    assert archive.is_tidy()


@pytest.mark.parametrize("is_back", [False, True])
def test_a_day_that_an_interrupted_read_held_back_is_read_again(archive: Archive, *, is_back: bool) -> None:
    gone = range(1, 31)
    with pytest.raises(Killed):
        reread(archive, lambda n: n not in gone, life=Life(20))
    assert any(archive.store.header("chat", day).conditions for day in RANGE)  # type: ignore[union-attr] # all are there
    report = reread(archive, lambda n: is_back or n not in gone)
    assert bool(report.with_condition("held_back")) is not is_back
    assert not set(report.resumed_days) & {day for day, _ in report.with_condition("held_back")}


def test_deletions_that_an_interrupted_read_accepted_are_decided_anew(archive: Archive) -> None:
    gone = range(1, 31)
    with pytest.raises(Killed):
        reread(archive, lambda n: n not in gone, life=Life(20), accept=True)
    assert deleted(archive)
    report = reread(archive, lambda _: True)
    assert not deleted(archive)
    assert not report.resumed_days
    assert archive.is_tidy()


def test_a_read_that_is_held_back_is_not_logged_as_archived(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tg_pipeline.ingest.fetch")
    said = []
    for last in (135, 270):
        reread(archive, range(last + 1).__contains__)
        *_, record = [r for r in caplog.records if r.name == "tg_pipeline.ingest.fetch"]
        said.append("is archived" in record.getMessage())
    assert said == [False, True]


@pytest.mark.parametrize("days", [1, 3, 30])
def test_what_comes_empty_is_counted_once(days: int) -> None:
    empty = {1, 5, 8, 11, 100, 101, 270}
    history = [Said(m.id, m.at, None) if m.id in empty else m for m in HISTORY]
    asked = DayRange(FIRST, FIRST + timedelta(days=days - 1))
    with temporary_archive() as files:
        report = files.fetch(MemoryHistory(history, NOW, 20), asked, pages_in_flight=2)
    assert report.empty == sum(number <= days * PER_DAY for number in empty)
