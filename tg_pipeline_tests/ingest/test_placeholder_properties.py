"""Runs of messages that cannot be decoded until an upgrade: whatever is fetched when, each message once, in its day."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.days import DayRange, day_of
from tg_pipeline_tests.ingest.archive import Archive, Killed, Life, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said
from tg_pipeline_tests.ingest.test_order_properties import ALL, ASCENDING, EXAMPLES, LATER, disordered, orders

KILLS = 6


@st.composite
def runs(draw: st.DrawFn, messages: Sequence[Said]) -> set[int]:
    """Ids of messages that cannot be decoded: one run of them or more, short or longer than days."""
    ids = [m.id for m in messages]
    found: set[int] = set()
    for _ in range(draw(st.integers(1, 2))):
        first = draw(st.integers(0, len(ids) - 1))
        found.update(ids[first : first + draw(st.sampled_from([1, 3, len(ids) // 4, len(ids) // 2, len(ids)]))])
    return found


def is_whole(archive: Archive) -> bool:
    return not archive.findings(day_of(int(LATER)))


def check(archive: Archive, messages: Sequence[Said]) -> None:
    """No id stands twice, and nothing is called whole that is not."""
    days = list(archive.store.days(CHAT))
    found = {day: archive.messages(day) for day in days}
    ids = Counter(message["id"] for of_day in found.values() for message in of_day)
    assert not [number for number, times in ids.items() if times > 1]
    if is_whole(archive):
        expected = expected_ids(messages, ALL, LATER)
        assert {day: [message["id"] for message in of_day] for day, of_day in found.items()} == {
            day: expected[day] for day in days
        }
        assert not [m for of_day in found.values() for m in of_day if m["type"] == "unreadable"]


def fetch_all(
    archive: Archive, order: Sequence[DayRange], messages: Sequence[Said], odd: set[int], in_flight: int, size: int
) -> None:
    for days in order:
        history = MemoryHistory(messages, LATER, size, odd=odd, turns=random.Random(1))
        archive.fetch(history, days, pages_in_flight=in_flight)
        check(archive, messages)


def check_upgraded(archive: Archive, messages: Sequence[Said]) -> None:
    assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)
    assert is_whole(archive)


@given(st.data(), orders() | st.just(ASCENDING), orders() | st.just(ASCENDING), st.integers(1, 3))
@settings(parent=EXAMPLES, max_examples=15)
def test_after_the_upgrade_any_fetch_of_the_days_leaves_their_messages(
    data: st.DataObject, before: list[DayRange], after: list[DayRange], in_flight: int
) -> None:
    messages = data.draw(disordered(counts=(5, 30, 120), shares=(0.0,)), label="messages")
    odd = data.draw(runs(messages), label="odd")
    size = data.draw(st.sampled_from([2, 7, 100]), label="size")
    done = before[: data.draw(st.integers(1, len(before)), label="of the fetches before")]
    with temporary_archive() as archive:
        fetch_all(archive, done, messages, odd, in_flight, size)
        fetch_all(archive, after, messages, set(), in_flight, size)
        check_upgraded(archive, messages)


def fetch_through_kills(data: st.DataObject, before: list[DayRange], after: list[DayRange], in_flight: int) -> None:
    messages = data.draw(disordered(counts=(3, 5, 30), shares=(0.0,)), label="messages")
    odd = data.draw(runs(messages), label="odd")
    kills = 0
    with temporary_archive() as archive:
        for days, unread in [*((days, odd) for days in before), *((days, set[int]()) for days in after)]:
            has_ended = False
            while not has_ended:
                life = Life(data.draw(st.none() | st.integers(1, 40), label="dies at step") if kills < KILLS else None)
                try:
                    history = MemoryHistory(messages, LATER, 7, odd=unread, before_answer=life.step)
                    archive.fetch(history, days, pages_in_flight=in_flight, life=life)
                    check(archive, messages)
                    has_ended = True
                except Killed:
                    kills += 1
                    has_ended = data.draw(st.booleans(), label="is not resumed")
        fetch_all(archive, after, messages, set(), in_flight, 7)
        assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)


@given(st.data(), orders(), orders(), st.integers(1, 3))
@settings(parent=EXAMPLES, max_examples=10)
def test_interrupted_anywhere_no_id_stands_twice_once_a_fetch_has_ended(
    data: st.DataObject, before: list[DayRange], after: list[DayRange], in_flight: int
) -> None:
    fetch_through_kills(data, before, after, in_flight)


@pytest.mark.nightly
@given(st.data(), orders(), orders(), st.integers(1, 3))
@settings(parent=EXAMPLES, max_examples=500)
def test_so_it_is_in_many_more_worlds(
    data: st.DataObject, before: list[DayRange], after: list[DayRange], in_flight: int
) -> None:
    fetch_through_kills(data, before, after, in_flight)
