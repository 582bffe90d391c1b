"""Messages that cannot be decoded: wherever they stand and whatever is fetched in which order, each stands once."""

import random
import shutil
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.days import DayRange, day_end, day_of, day_start
from tg_pipeline_tests.ingest.archive import Archive, Killed, Life, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said
from tg_pipeline_tests.ingest.test_order_properties import ALL, ASCENDING, EXAMPLES, LATER, orders

DAYS = list(ALL)
HOURLY = [Said(n + 1, day_start(DAYS[0]) + n * 3_600) for n in range(24 * len(DAYS))]
FIRST_OF_THIRD = 49


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        yield files


def read(archive: Archive, *days: DayRange, odd: set[int], messages: list[Said] = HOURLY) -> None:
    for asked in days:
        archive.fetch(MemoryHistory(messages, LATER, odd=odd), asked)


def ids_of(archive: Archive) -> list[int]:
    present = [day for day in DAYS if archive.store.header(CHAT, day) is not None]
    return sorted(number for day in present for number in archive.ids(DayRange(day, day))[day])


def names_all(archive: Archive, odd: set[int]) -> bool:
    """Whether the conditions of the days count all of them."""
    headers = [archive.store.header(CHAT, day) for day in DAYS]
    return len(odd) == sum(c.count or 0 for h in headers if h for c in h.conditions if c.kind == "unreadable")


def upgraded(archive: Archive, messages: list[Said]) -> bool:
    """Whether the archive is whole once each day with placeholders has been fetched again, as `verify` says."""
    for day in DAYS:
        header = archive.store.header(CHAT, day)
        if header is not None and header.conditions:
            read(archive, DayRange(day, day), odd=set(), messages=messages)
    read(archive, *(DayRange(d, d) for d in DAYS if not sealed(archive, d)), odd=set(), messages=messages)
    return archive.ids(ALL) == expected_ids(messages, ALL, LATER)


def sealed(archive: Archive, day: object) -> bool:
    header = archive.store.header(CHAT, day)  # type: ignore[arg-type] # a date
    return header is not None and header.sealed


ODD = {
    "the first of a day": {FIRST_OF_THIRD, FIRST_OF_THIRD + 1},
    "the last of a day": {FIRST_OF_THIRD - 2, FIRST_OF_THIRD - 1},
    "around midnight": set(range(FIRST_OF_THIRD - 2, FIRST_OF_THIRD + 2)),
    "a whole day": set(range(FIRST_OF_THIRD, FIRST_OF_THIRD + 24)),
    "the first of the chat": {1, 2},
    "the last of the chat": {len(HOURLY) - 1, len(HOURLY)},
    "the first day of the chat": set(range(1, 26)),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("was_whole", [False, True])
@pytest.mark.parametrize(
    "order", [ASCENDING, ASCENDING[::-1], [*ASCENDING[::2], *ASCENDING[1::2]], [ALL], [*ASCENDING[2:4], ALL]]
)
def test_each_stands_once_and_its_message_takes_its_place(
    archive: Archive, odd: set[int], order: list[DayRange], *, was_whole: bool
) -> None:
    if was_whole:
        read(archive, ALL, odd=set())
    for _ in range(2):
        read(archive, *order, odd=odd)
        assert ids_of(archive) == [m.id for m in HOURLY]
        assert names_all(archive, set() if was_whole else odd)
    assert upgraded(archive, HOURLY)


@given(st.integers(0, 2**32), orders(), orders(), st.sampled_from([0.05, 0.3, 0.9]))
@settings(parent=EXAMPLES, max_examples=15)
def test_in_any_order_each_stands_once(seed: int, order: list[DayRange], again: list[DayRange], share: float) -> None:
    rng = random.Random(seed)
    times = sorted(rng.randint(day_start(ALL.first), day_end(ALL.last) - 1) for _ in range(rng.choice([4, 12, 60])))
    messages = [Said(n + 1, at, f"m{n}") for n, at in enumerate(times)]
    odd = {m.id for m in messages if rng.random() < share}
    with temporary_archive() as archive:
        for days in (order, again):
            read(archive, *days, odd=odd, messages=messages)
            assert ids_of(archive) == [m.id for m in messages]
        assert upgraded(archive, messages)


def test_days_without_messages_between_do_not_part_it_from_its_file(archive: Archive) -> None:
    messages = [m for m in HOURLY if m.id <= 24 or m.id > 72]
    for day in (DAYS[3], DAYS[0], DAYS[3] - timedelta(days=1)):
        read(archive, DayRange(day, day), odd={73, 74}, messages=messages)
    assert ids_of(archive) == [m.id for m in messages if m.id <= 96]


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("order", [ASCENDING, ASCENDING[::-1], [ALL]])
def test_one_whose_message_was_deleted_before_the_upgrade_stays_as_deleted(
    archive: Archive, odd: set[int], order: list[DayRange]
) -> None:
    read(archive, ALL, odd=odd)
    gone = set(sorted(odd)[:2])
    left = [m for m in HOURLY if m.id not in gone]
    read(archive, *order, *order, odd=set(), messages=left)
    messages = {m["id"]: m for day in DAYS for m in archive.messages(day)}
    assert sorted(messages) == ids_of(archive) == [m.id for m in HOURLY]
    assert {number for number, message in messages.items() if message["deleted"]} == gone
    assert {messages[number]["type"] for number in gone} == {"unreadable"}
    assert names_all(archive, set())
    assert not archive.findings(day_of(int(LATER)))
    read(archive, *order, odd=set())
    assert archive.ids(ALL) == expected_ids(HOURLY, ALL, LATER)
    assert not any(m["deleted"] for day in DAYS for m in archive.messages(day))


def test_a_range_that_begins_behind_its_message_finds_it(archive: Archive) -> None:
    messages = [Said(n + 1, day_start(DAYS[day]) + 60) for n, day in enumerate((0, 2, 4))]
    read(archive, ALL, odd={1}, messages=messages)
    assert archive.ids(ALL)[DAYS[2]] == [1, 2]
    read(archive, DayRange(DAYS[1], DAYS[4]), odd=set(), messages=messages)
    assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)
    assert not any(m["deleted"] for day in DAYS for m in archive.messages(day))


@pytest.mark.parametrize("again", [1, 2])
def test_a_file_that_was_put_back_from_a_backup_is_repaired_by_the_fetch_of_its_day(
    archive: Archive, again: int
) -> None:
    read(archive, ALL, odd=ODD["around midnight"])
    path = archive.store.path(CHAT, DAYS[1])
    backup = path.read_bytes()
    for _ in range(2):
        read(archive, ALL, odd=set())
    path.write_bytes(backup)
    read(archive, DayRange(DAYS[again], DAYS[again]), DayRange(DAYS[1], DAYS[1]), odd=set())
    assert archive.ids(ALL) == expected_ids(HOURLY, ALL, LATER)
    assert names_all(archive, set())


@pytest.mark.parametrize("loses_its_spool", [False, True])
def test_days_before_a_placeholder_are_not_sealed_while_it_may_be_theirs(*, loses_its_spool: bool) -> None:
    """A chat begins with what cannot be decoded; its fetch is killed at any step, and resumed after an upgrade."""
    at = [(1, 0.3), (2, 0.5), (5, 1.2), (8, 3.1), (9, 3.4), (10, 4.1)]
    messages = [Said(number, day_start(DAYS[0]) + int(days * 86_400)) for number, days in at]
    for last in range(1, 80, 5):
        with temporary_archive() as files:
            try:
                files.fetch(MemoryHistory(messages, LATER, 3, odd={1, 2, 5}), ALL, life=Life(last))
            except Killed:
                if loses_its_spool:
                    shutil.rmtree(files.root / "spool")
                missed = [day for day in DAYS[:2] if sealed(files, day) and not list(files.store.lines(CHAT, day))]
                assert not missed or any(files.store.lines(CHAT, DAYS[3])), last
                files.fetch(MemoryHistory(messages, LATER, 3), ALL)
                files.fetch(MemoryHistory(messages, LATER, 3), ALL)
                assert files.ids(ALL) == expected_ids(messages, ALL, LATER), last
            else:
                break
    assert last > 20


def test_what_an_interrupted_fetch_could_not_decode_is_read_again() -> None:
    """Placeholders of the next day's messages wait in the spools of a day; after an upgrade all days are fetched."""
    at = [(1, 0.3), (2, 0.9), (3, 1.1), (4, 1.2), (5, 1.3), (6, 1.6), (7, 2.5)]
    messages = [Said(number, day_start(DAYS[0]) + int(days * 86_400)) for number, days in at]
    for last in range(1, 40, 2):
        with temporary_archive() as files:
            try:
                history = MemoryHistory(messages, LATER, 3, odd={3, 4, 5})
                files.fetch(history, DayRange(DAYS[0], DAYS[0]), life=Life(last))
            except Killed:
                files.fetch(MemoryHistory(messages, LATER, 3), ALL)
                assert files.ids(ALL) == expected_ids(messages, ALL, LATER), last
            else:
                break
    assert last > 5


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [1, 0, 1, 0]])
def test_one_on_the_day_before_whose_message_was_deleted_is_deleted_by_days(archive: Archive, order: list[int]) -> None:
    at = [(1, 0.2), (2, 0.9), (3, 1.1), (4, 1.2), (5, 1.3), (6, 1.6), (7, 2.5)]
    messages = [Said(number, day_start(DAYS[0]) + int(days * 86_400)) for number, days in at]
    by_day = [DayRange(day, day) for day in DAYS]
    read(archive, *by_day[:3], odd={3, 4, 5, 6}, messages=messages)
    read(archive, *(by_day[n] for n in order), odd=set(), messages=[m for m in messages if m.id not in {4, 5}])
    found = {m["id"]: m["deleted"] for day in DAYS[:3] for m in archive.messages(day)}
    assert {number for number, is_deleted in found.items() if is_deleted} == {4, 5}
    assert names_all(archive, set())
