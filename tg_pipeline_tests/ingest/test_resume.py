"""What an interrupted request left, gone on with by whoever sees something else of the history."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.days import DayRange, day_start
from tg_pipeline.contracts.errors import PageIntegrityError
from tg_pipeline.contracts.history import Visible
from tg_pipeline_tests.ingest.archive import Archive, Killed, Life, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said
from tg_pipeline_tests.ingest.test_fetch_properties import EXAMPLES

DAY = date(2024, 3, 1)
THREE = DayRange(DAY, DAY + timedelta(days=2))
LATER = float(day_start(DAY) + 9 * 86_400)
PER_DAY = 288
MESSAGES = [Said(n + 1, day_start(DAY) + n * 300) for n in range(7 * PER_DAY)]


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        yield files


def seen_from(first_id: int, messages: Sequence[Said] = MESSAGES) -> MemoryHistory:
    """The history as an account sees it that sees messages from `first_id` on."""
    left = [m for m in messages if m.id >= first_id]
    seen = Visible(first_id, left[0].at) if left else Visible(None, None)
    return MemoryHistory(left, LATER, seen=seen if first_id > 1 else Visible(1, 0))


def killed(archive: Archive, history: MemoryHistory, answers: int, *, in_flight: int = 1) -> None:
    """A fetch of the three days whose process dies after so many answers, if there are so many."""

    def die() -> None:
        if history.calls > answers:
            raise Killed

    history.before_answer = die
    with suppress(Killed):
        archive.fetch(history, THREE, pages_in_flight=in_flight)


def lacking(archive: Archive) -> set[date]:
    """The days that lack messages or have some marked as deleted."""
    whole = expected_ids(MESSAGES, THREE, LATER)
    return {
        day
        for day in THREE
        if archive.ids(DayRange(day, day))[day] != whole[day] or any(m["deleted"] for m in archive.messages(day))
    }


def named(archive: Archive) -> set[date]:
    """The days of which a condition says that they may not be whole, or that are not sealed."""
    headers = {day: archive.store.header(CHAT, day) for day in THREE}
    return {day for day, header in headers.items() if header is None or header.conditions or not header.sealed}


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("answers", [1, 4, 7])
@pytest.mark.parametrize(("before", "after"), [(1, 1_000), (1, 750), (1, 100_000), (400, 1), (700, 300), (100_000, 1)])
def test_resumed_with_another_view_no_day_with_a_hole_is_whole(
    archive: Archive, before: int, after: int, answers: int, in_flight: int
) -> None:
    killed(archive, seen_from(before), answers, in_flight=in_flight)
    archive.fetch(seen_from(after), THREE, pages_in_flight=in_flight)
    assert lacking(archive) <= named(archive)
    archive.fetch(seen_from(1), THREE)
    assert not lacking(archive)
    assert not named(archive)


def test_what_was_read_before_the_history_was_hidden_is_archived(archive: Archive) -> None:
    killed(archive, seen_from(1), 8)
    archive.fetch(seen_from(100_000), THREE)
    day = THREE.last
    assert archive.ids(THREE)[day] == list(range(2 * PER_DAY + 1, 801))
    header = archive.store.header(CHAT, day)
    assert header is not None
    assert [(c.kind, c.count) for c in header.conditions] == [("not_visible", 800 - 2 * PER_DAY)]


@pytest.mark.parametrize("account", [None, 7])
def test_cleared_after_an_interruption_at_any_step_no_day_that_follows_is_whole(account: int | None) -> None:
    """Of a private dialog (`account`) nothing tells it but that all that was archived is gone."""
    for step in range(2, 30):
        with temporary_archive() as archive:
            history, cleared = seen_from(1), seen_from(1_000)
            history.account = cleared.account = account
            with pytest.raises(Killed):
                archive.fetch(history, THREE, life=Life(step))
            if any(archive.store.days(CHAT)):
                archive.fetch(cleared, THREE)
                assert lacking(archive) <= named(archive), step


def test_what_the_server_lost_meanwhile_is_held_back(archive: Archive) -> None:
    killed(archive, seen_from(1), 8)
    left = [m for m in MESSAGES if not 300 <= m.id <= 1_500]
    report = archive.fetch(seen_from(1, left), THREE)
    assert [day for day, _ in report.with_condition("held_back")] == [THREE.last]


@pytest.mark.parametrize("answers", [4, 7])
def test_resumed_with_the_same_view_a_day_in_work_costs_two_calls_at_most(archive: Archive, answers: int) -> None:
    killed(archive, seen_from(1), answers)
    history = seen_from(1)
    archive.fetch(history, THREE)
    assert not lacking(archive) | named(archive)
    assert history.calls <= 9 - answers + 1 + 2


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[int, DayRange, int | None]]:
    """What is seen from which id on, the range, and the step at which the process dies."""
    days = list(THREE)
    found = []
    for _ in range(draw(st.integers(1, 6))):
        first, last = sorted(draw(st.tuples(st.integers(0, 2), st.integers(0, 2))))
        seen = draw(st.sampled_from([1, 1, 5, 11, 14, 20, 27, 33, 100]))
        found.append((seen, DayRange(days[first], days[last]), draw(st.none() | st.integers(1, 30))))
    return found


@given(runs(), st.sampled_from([1, 2, 5, 7]), st.integers(1, 3), st.sampled_from([2, 3, 100]))
@settings(parent=EXAMPLES, max_examples=40)
def test_whatever_is_interrupted_and_seen_by_whom_a_day_with_a_hole_is_never_whole(
    asked: list[tuple[int, DayRange, int | None]], gap: int, in_flight: int, size: int
) -> None:
    """Ten messages a day, every `gap`th of which was deleted before anybody read it."""
    messages = [Said(n + 1, day_start(DAY) + n * 8_640) for n in range(40) if gap == 1 or n % gap]
    whole = expected_ids(messages, THREE, LATER)
    with temporary_archive() as archive:
        for seen, days, last in asked:
            history = seen_from(seen, messages)
            history.page_size = size
            life = Life(last)
            history.before_answer = life.step
            with suppress(Killed, PageIntegrityError):
                archive.fetch(history, days, pages_in_flight=in_flight, life=life)
            for day in set(THREE) - named(archive):
                assert archive.ids(DayRange(day, day))[day] == whole[day], day
                assert not any(message["deleted"] for message in archive.messages(day)), day
        for _ in range(2):  # the first may keep days of an interrupted one
            archive.fetch(seen_from(1, messages), THREE)
        assert archive.ids(THREE) == whole
        assert not named(archive)
