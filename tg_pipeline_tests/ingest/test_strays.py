"""Messages dated out of the order of their ids, of which an interrupted fetch knows more than it has archived."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.days import DayRange, day_of, day_start
from tg_pipeline.contracts.findings import FindingKind
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline_tests.ingest.archive import Archive, Killed, Life, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said
from tg_pipeline_tests.ingest.test_order_properties import ALL, EXAMPLES, LATER, disordered

DAYS = list(ALL)
REST = DayRange(DAYS[1], DAYS[-1])
HOURLY = [Said(n + 1, day_start(ALL.first) + n * 3_600) for n in range(24 * len(ALL))]


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        yield files


def dated(number: int, day: date) -> list[Said]:
    """A message an hour, one of which is dated on another day."""
    return [Said(m.id, day_start(day) + 60 if m.id == number else m.at) for m in HOURLY]


def killed_after(archive: Archive, messages: Sequence[Said], days: DayRange, day: date) -> None:
    """A fetch whose process dies once the file of that day is there."""

    def die() -> None:
        if archive.store.path(CHAT, day).exists():
            raise Killed

    with suppress(Killed):
        archive.fetch(MemoryHistory(messages, LATER, 10, before_answer=die), days)


def to_fetch(archive: Archive) -> list[date]:
    """The days that have no file, or one that says that it is not whole."""
    headers = {day: archive.store.header(CHAT, day) for day in ALL}
    return [day for day, header in headers.items() if header is None or not header.sealed or header.conditions]


def kinds(archive: Archive) -> set[FindingKind]:
    return {finding.kind for finding in archive.findings(day_of(int(LATER)))}


@pytest.mark.parametrize("is_expired", [True, False])
@pytest.mark.parametrize(("number", "home", "last"), [(85, 0, 3), (85, 4, 3), (40, 3, 2), (40, 4, 1)])
def test_what_is_not_placed_yet_keeps_the_archive_from_being_whole(
    archive: Archive, number: int, home: int, last: int, *, is_expired: bool
) -> None:
    messages = dated(number, DAYS[home])
    archive.fetch(MemoryHistory(messages, LATER, 10), DayRange(DAYS[0], DAYS[0]))
    killed_after(archive, messages, REST, DAYS[last])
    if is_expired:
        shutil.rmtree(archive.root / "spool")
    assert FindingKind.UNSEALED in kinds(archive)
    for day in to_fetch(archive):
        archive.fetch(MemoryHistory(messages, LATER), DayRange(day, day))
    assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)
    assert not to_fetch(archive)
    assert not kinds(archive)


def test_what_another_fetch_has_placed_is_not_called_deleted_by_one_that_goes_on() -> None:
    """A day is read and not committed; fetches of the days behind it place what it had put aside, and go on with it."""
    at = [(9, 2.1), (11, 2.7), (12, 3.8), (17, 2.999)]
    messages = [Said(number, day_start(DAYS[0]) + int(days * 86_400)) for number, days in at]
    died = True
    for last in range(1, 40):
        with temporary_archive() as fresh:
            try:
                fresh.fetch(MemoryHistory(messages, LATER), DayRange(DAYS[2], DAYS[2]), life=Life(last))
            except Killed:
                fresh.fetch(MemoryHistory(messages, LATER), DayRange(DAYS[3], DAYS[4]))
                fresh.fetch(MemoryHistory(messages, LATER), ALL)
                assert not any(m["deleted"] for day in ALL for m in fresh.messages(day)), last
                assert fresh.ids(ALL) == expected_ids(messages, ALL, LATER)
            else:
                died = False
                break
    assert not died


def test_a_fetch_is_interrupted_until_what_is_out_of_order_is_placed(archive: Archive) -> None:
    messages = dated(85, DAYS[0])
    archive.fetch(MemoryHistory(messages, LATER, 10), DayRange(DAYS[0], DAYS[0]))

    class UntilTheLastDay(Life):
        def step(self) -> None:
            if any(
                f"committed {REST.last}" in path.read_text() for path in (archive.root / "spool").rglob("*.journal")
            ):
                raise Killed

    with pytest.raises(Killed):
        archive.fetch(MemoryHistory(messages, LATER, 10), REST, life=UntilTheLastDay())
    assert 85 not in archive.ids(ALL)[DAYS[0]]
    assert interrupted_ranges(archive.root / "spool", CHAT) == [REST]
    report = archive.fetch(MemoryHistory(messages, LATER), REST)
    assert (report.pages, 85 in archive.ids(ALL)[DAYS[0]]) == (0, True)
    assert not kinds(archive)
    assert archive.is_tidy()


def test_a_whole_archive_read_again_is_sealed_all_the_time(archive: Archive) -> None:
    messages = dated(85, DAYS[0])
    archive.fetch(MemoryHistory(messages, LATER), ALL)
    before = archive.bytes()
    killed_after(archive, messages, ALL, DAYS[0])
    assert archive.bytes() == before
    again = archive.fetch(MemoryHistory(messages, LATER), ALL)
    assert not any(day.changed for day in again.days)
    assert archive.bytes() == before


def test_where_what_is_out_of_order_is_lost_its_days_are_read_again(archive: Archive) -> None:
    messages = dated(85, DAYS[0])
    killed_after(archive, messages, ALL, DAYS[3])
    for path in (archive.root / "spool" / CHAT).glob("*_*.messages"):
        path.unlink()
    archive.fetch(MemoryHistory(messages, LATER), ALL)
    assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)
    assert not kinds(archive)


@given(disordered(), st.integers(1, 3), st.sampled_from([7, 100]), st.integers(1, 120))
@settings(parent=EXAMPLES, max_examples=20)
def test_killed_anywhere_and_never_resumed_the_days_that_say_so_complete_the_archive(
    messages: list[Said], in_flight: int, size: int, step: int
) -> None:
    with temporary_archive() as archive:
        archive.fetch(MemoryHistory(messages, LATER, size), DayRange(DAYS[0], DAYS[0]))
        with suppress(Killed):
            archive.fetch(MemoryHistory(messages, LATER, size), REST, pages_in_flight=in_flight, life=Life(step))
        shutil.rmtree(archive.root / "spool")
        for day in to_fetch(archive):
            archive.fetch(MemoryHistory(messages, LATER, size), DayRange(day, day))
        assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)
        assert not to_fetch(archive)
