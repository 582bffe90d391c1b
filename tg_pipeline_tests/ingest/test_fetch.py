"""What one fetch does with days that are not over, changes, wrong pages, late messages, cancellation and errors."""

import asyncio
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pytest

from tg_pipeline.contracts.days import DayRange, day_end, day_start
from tg_pipeline.contracts.errors import InputError, NetworkError, PageIntegrityError, SessionRevoked
from tg_pipeline.contracts.fetch import CommittedDay, FetchProgress
from tg_pipeline.contracts.history import Cursor, Page
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline_tests.ingest.archive import (
    Archive,
    Killed,
    Life,
    MortalRequest,
    MortalStore,
    expected_ids,
    temporary_archive,
)
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said, Spoiler

DAY = date(2024, 3, 1)
NEXT = DAY + timedelta(days=1)
ONE = DayRange(DAY, DAY)
TWO = DayRange(DAY, NEXT)
NOON = day_start(DAY) + 43_200
LATER = float(day_end(NEXT) + 86_400)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        yield files


def died(_: list[Said]) -> list[Said]:
    """A page that never comes: the process ends."""
    raise Killed


def evenly(count: int, days: int = 1, first: date = DAY) -> list[Said]:
    """`count` messages over so many days, the first at midnight; ids from 1 without gaps."""
    step = days * 86_400 / count
    return [Said(n + 1, day_start(first) + int(n * step)) for n in range(count)]


def test_a_day_without_messages_gets_an_empty_sealed_file_for_one_call(archive: Archive) -> None:
    history = MemoryHistory([], LATER)
    report = archive.fetch(history, ONE)
    assert history.calls == 1
    assert archive.messages(DAY) == []
    assert [(d.day, d.sealed, d.message_count) for d in report.days] == [(DAY, True, 0)]


def test_today_is_not_sealed_and_a_later_run_completes_and_seals_it(archive: Archive) -> None:
    messages = evenly(10)
    first = archive.fetch(MemoryHistory(messages, NOON + 0.5), ONE)
    assert not first.days[0].sealed
    assert archive.ids(ONE) == {DAY: [1, 2, 3, 4, 5]}
    second = archive.fetch(MemoryHistory(messages, LATER), ONE)
    assert second.days[0].sealed
    assert second.days[0].added == 5
    assert archive.ids(ONE) == expected_ids(messages, ONE, LATER)


def test_the_last_second_of_today_that_may_still_fill_up_is_left_to_the_next_run(archive: Archive) -> None:
    messages = [Said(1, NOON - 1), Said(2, NOON)]
    archive.fetch(MemoryHistory(messages, NOON + 0.9), ONE)
    assert archive.ids(ONE) == {DAY: [1]}


@pytest.mark.parametrize("machine_runs", [-7 * 86_400, 7 * 86_400])
def test_the_clock_of_the_server_decides_on_sealing(archive: Archive, machine_runs: int) -> None:
    history = MemoryHistory(evenly(4), day_end(DAY) + machine_runs)
    if machine_runs < 0:
        with pytest.raises(InputError, match="2024-02-24 UTC"):
            archive.fetch(history, ONE)
        assert history.calls == 0
        assert not archive.bytes()
    else:
        assert archive.fetch(history, ONE).days[0].sealed


def test_killed_on_a_day_that_is_not_over_and_resumed_hours_later_nothing_between_is_missed(archive: Archive) -> None:
    messages = evenly(3_000, days=2)
    steps = Life()
    now = day_start(NEXT) + 50_000
    archive.fetch(MemoryHistory(messages, now), TWO, pages_in_flight=3, life=steps)
    for last in range(2, steps.steps, 7):
        again = Archive(archive.root / str(last))
        with pytest.raises(Killed):
            again.fetch(MemoryHistory(messages, now), TWO, pages_in_flight=3, life=Life(last))
        again.fetch(MemoryHistory(messages, LATER), TWO, pages_in_flight=3)
        assert again.ids(TWO) == expected_ids(messages, TWO, LATER), last
        assert again.store.load(CHAT, NEXT).sealed


def test_today_committed_by_a_killed_run_is_not_read_again_from_its_beginning(archive: Archive) -> None:
    messages = evenly(2_000, days=2)
    now = day_end(NEXT) - 10
    with pytest.raises(Killed):
        archive.fetch(HeldBack(messages, now, page_size=10), TWO, pages_in_flight=2)
    assert archive.store.path(CHAT, NEXT).exists()
    resumed = MemoryHistory(messages, now + 5, page_size=10)
    archive.fetch(resumed, TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, now + 5)
    assert resumed.calls < 105


class HeldBack(MemoryHistory):
    """The first day is answered only when the second one has been read, and then not at all."""

    async def page(self, cursor: Cursor) -> Page:
        page = await super().page(cursor)
        while 300 < (cursor.after_id or 0) < 1_000:
            if self.cursors[-1].after_id == 2_000:
                for _ in range(100):
                    await asyncio.sleep(0.001)
                raise Killed
            await asyncio.sleep(0)
        return page


def test_edits_deletions_and_views_of_a_later_read_are_told_apart(archive: Archive) -> None:
    before = [Said(1, NOON, "stays", 1), Said(2, NOON, "wrong", 1), Said(3, NOON, "regretted", 1)]
    archive.fetch(MemoryHistory(before, LATER), ONE)
    after = [Said(1, NOON, "stays", 99), Said(2, NOON, "right", 1), Said(4, NOON + 9, "new", 1)]
    day = archive.fetch(MemoryHistory(after, LATER + 60), ONE).days[0]
    assert (day.added, day.edited, day.deleted) == (1, 1, 1)
    stays, edited, gone, new = archive.messages(DAY)
    assert (stays["views"], stays["edited"]) == (99, False)
    assert (edited["text"], edited["edited"]) == ("right", True)
    assert (gone["text"], gone["deleted"], gone["deleted_at"]) == ("regretted", True, "2024-03-04T00:01:00Z")
    assert new["id"] == 4


def test_reading_the_same_twice_changes_no_byte(archive: Archive) -> None:
    messages = evenly(250, days=2)
    archive.fetch(MemoryHistory(messages, LATER), TWO)
    before = archive.bytes()
    report = archive.fetch(MemoryHistory(messages, LATER + 3_600), TWO, pages_in_flight=3)
    assert archive.bytes() == before
    assert not any(day.changed for day in report.days)


def test_a_short_page_and_one_of_nothing_but_empty_messages_do_not_end_a_range(archive: Archive) -> None:
    messages = [Said(n, NOON + n, None if 4 <= n <= 9 else "hi") for n in range(1, 20)]

    def short(call: int, page: list[Said]) -> list[Said]:
        return page[:1] if call == 1 else page

    archive.fetch(MemoryHistory(messages, LATER, page_size=3, spoil=short), ONE)
    assert archive.ids(ONE) == expected_ids(messages, ONE, LATER)


def at(calls: Sequence[int], how: Callable[[list[Said]], list[Said]]) -> Spoiler:
    """Spoil the answers to these calls."""
    return lambda call, page: how(page) if call in calls else page


class Repeating:
    """Answers the given calls with the page of the call before."""

    def __init__(self, *calls: int) -> None:
        self.calls = calls
        self.last: list[Said] = []

    def __call__(self, call: int, page: list[Said]) -> list[Said]:
        answer = self.last if call in self.calls else page
        self.last = answer
        return answer


@pytest.mark.parametrize(
    "spoil",
    [
        Repeating(3),
        Repeating(3, 4),
        at([2], lambda page: page[::-1]),
        at([2], lambda page: [*page[:3], *page[:3]]),
        at([3, 4, 5], lambda page: page[1::2] + page[::2]),
    ],
)
def test_a_page_that_repeats_or_reorders_is_read_again_and_counted(archive: Archive, spoil: Spoiler) -> None:
    messages = evenly(50)
    report = archive.fetch(MemoryHistory(messages, LATER, page_size=10, spoil=spoil), ONE)
    assert archive.ids(ONE) == expected_ids(messages, ONE, LATER)
    assert report.rereads > 0
    assert report.repeated > 0
    assert report.pages == 6 + report.rereads


def test_a_page_that_stays_wrong_fails_and_commits_nothing_wrong(archive: Archive) -> None:
    messages = evenly(100, days=2)
    bad = MemoryHistory(messages, LATER, page_size=10, spoil=at(range(8, 99), lambda page: page[::-1]))
    with pytest.raises(PageIntegrityError, match="message 70 came 4 times"):
        archive.fetch(bad, TWO)
    assert archive.ids(ONE) == expected_ids(messages, ONE, LATER)
    assert not archive.store.path(CHAT, NEXT).exists()
    good = MemoryHistory(messages, LATER, page_size=10)
    archive.fetch(good, TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)
    assert good.calls <= 4 + 2


def test_a_first_page_of_another_place_that_no_page_came_before_is_not_believed(archive: Archive) -> None:
    messages = evenly(6_000, days=60)
    elsewhere = [m for m in messages if m.at >= day_start(DAY + timedelta(days=40))][:100]
    for clock, broken in ((LATER + 59 * 86_400, elsewhere), (LATER, elsewhere)):
        first = Archive(archive.root / str(clock))
        spoil = at(range(1, 2), lambda _: broken)  # noqa: B023 - used within the turn
        report = first.fetch(MemoryHistory(messages, clock, spoil=spoil), TWO)
        assert first.ids(TWO) == expected_ids(messages, TWO, clock)
        assert report.rereads > 0


@pytest.mark.parametrize("steps", range(1, 9))
def test_resumed_it_does_not_believe_a_page_that_the_interrupted_process_was_answered(
    archive: Archive, steps: int
) -> None:
    messages = evenly(540, days=2)  # the third page has messages of both days
    answered: list[list[Said]] = []

    def noted(_: int, page: list[Said]) -> list[Said]:
        answered.append(page)
        return page

    with pytest.raises(Killed):
        archive.fetch(MemoryHistory(messages, LATER, spoil=noted), TWO, life=Life(steps))
    archive.fetch(MemoryHistory(messages, LATER, spoil=at([1], lambda _: answered[-1])), TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)


def test_resumed_after_a_message_that_was_deleted_meanwhile_it_comes_to_its_end(archive: Archive) -> None:
    messages = evenly(600, days=2)
    with pytest.raises(Killed):
        archive.fetch(MemoryHistory(messages, LATER, spoil=at([3], died)), TWO)
    left = [m for m in messages if m.id not in {200, 201}]
    history = MemoryHistory(left, LATER)
    archive.fetch(history, TWO)
    assert {m.id for m in left} <= {number for ids in archive.ids(TWO).values() for number in ids}
    assert history.calls <= 5 + 8


def test_a_long_silence_costs_one_more_call(archive: Archive) -> None:
    messages = [Said(n + 1, NOON + n) for n in range(150)] + [Said(9_001 + n, NOON + 5_000 + n) for n in range(150)]
    history = MemoryHistory(messages, LATER)
    archive.fetch(history, TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)
    assert history.calls <= 5


def test_a_day_file_that_went_missing_before_the_request_was_resumed_is_made_again(archive: Archive) -> None:
    messages = evenly(1_000, days=2)
    with pytest.raises(Killed):
        archive.fetch(MemoryHistory(messages, LATER, spoil=at(range(8, 9), died)), TWO)
    assert archive.store.path(CHAT, DAY).exists()
    archive.store.path(CHAT, DAY).unlink()
    archive.fetch(MemoryHistory(messages, LATER), TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)


def test_what_was_spooled_before_another_instance_read_the_day_is_not_resumed(archive: Archive) -> None:
    messages = evenly(1_000)
    with pytest.raises(Killed):
        archive.fetch(MemoryHistory(messages, LATER, spoil=at(range(3, 4), died)), TWO)
    edited = [Said(1, messages[0].at, text="new"), *messages[2:]]
    (archive.root / "spool").rename(archive.root / "kept")
    archive.fetch(MemoryHistory(edited, LATER), ONE)
    shutil.rmtree(archive.root / "spool")
    (archive.root / "kept").rename(archive.root / "spool")
    archive.fetch(MemoryHistory(edited, LATER), TWO)
    assert archive.ids(ONE) == expected_ids(edited, ONE, LATER)
    assert archive.messages(DAY)[0]["text"] == "new"


@pytest.mark.parametrize("pages_in_flight", [1, 3])
def test_the_rest_of_an_interrupted_range_is_resumed_wherever_it_was_interrupted(
    archive: Archive, pages_in_flight: int
) -> None:
    messages = evenly(3_000, days=2)
    steps = Life()
    archive.fetch(MemoryHistory(messages, LATER), TWO, pages_in_flight=pages_in_flight, life=steps)
    rest = DayRange(NEXT, NEXT)
    for last in range(2, steps.steps, 5):
        again = Archive(archive.root / str(last))
        with pytest.raises(Killed):
            again.fetch(MemoryHistory(messages, LATER), TWO, pages_in_flight=pages_in_flight, life=Life(last))
        if not again.store.path(CHAT, DAY).exists():
            continue
        resumed = MemoryHistory(messages, LATER)
        again.fetch(resumed, rest, pages_in_flight=pages_in_flight)
        assert again.ids(TWO) == expected_ids(messages, TWO, LATER), last
        again.fetch(MemoryHistory(messages, LATER), TWO, pages_in_flight=pages_in_flight)
        assert again.is_tidy(), last
        assert again.ids(TWO) == expected_ids(messages, TWO, LATER), last


@pytest.mark.parametrize("seed", range(30))
def test_a_page_answered_in_another_readers_place_is_not_believed(archive: Archive, seed: int) -> None:
    rng = random.Random(seed)
    repeating = Repeating(*(n for n in range(2, 200) if rng.random() < 0.08))
    messages = evenly(400, days=2)
    history = MemoryHistory(messages, day_end(NEXT), page_size=5, spoil=repeating, turns=rng)
    for _ in range(4):
        with suppress(PageIntegrityError):  # four wrong answers in a row to one question and what confirms it
            archive.fetch(history, TWO, pages_in_flight=3)
            break
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)


def test_a_page_that_is_empty_although_later_messages_are_known_is_not_the_end(archive: Archive) -> None:
    messages = evenly(400, days=2)
    emptied: list[int] = []

    def empty(call: int, page: list[Said]) -> list[Said]:
        if page and page[0].id < 150 and call > 12 and len(emptied) < 2:
            emptied.append(call)
            return []
        return page

    report = archive.fetch(MemoryHistory(messages, LATER, page_size=10, spoil=empty), TWO, pages_in_flight=2)
    assert emptied
    assert report.rereads >= 2
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)


def test_a_message_that_comes_after_its_day_was_committed_is_added_to_it(archive: Archive) -> None:
    on_day = [Said(n, NOON + n) for n in range(1, 6)]
    on_next = [Said(n, day_start(NEXT) + n * 600) for n in range(6, 26)]
    late = Said(26, day_end(DAY) - 5, "late")
    rest = [Said(n, day_start(NEXT) + 40_000 + n) for n in range(27, 30)]
    messages = [*on_day, *on_next, late, *rest]
    report = archive.fetch(MemoryHistory(messages, LATER, page_size=5), TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)
    receipts = {day.day: day for day in report.days}
    assert receipts[DAY].message_count == 6
    header = archive.store.header(CHAT, DAY)
    assert header is not None
    assert header.content_sha256 == receipts[DAY].content_sha256
    assert header.sealed


def test_progress_names_the_last_message_of_a_day_in_flight(archive: Archive) -> None:
    messages = evenly(1_000)
    dies = Life()
    history = MemoryHistory(messages, LATER, page_size=100, before_answer=dies.step)
    dies.last = 12
    with pytest.raises(Killed):
        archive.fetch(history, ONE, life=dies)
    pointer = archive.progress.read().chats[CHAT].days[DAY].last_processed_msg_id
    assert pointer % 100 == 0
    assert pointer > 0


def test_progress_is_told_after_every_page_and_every_day(archive: Archive) -> None:
    reported: list[FetchProgress] = []
    archive.fetch(MemoryHistory(evenly(40, days=2), LATER, page_size=10), TWO, on_progress=reported.append)
    assert [t.committed.day for t in reported if t.committed] == [DAY, NEXT]
    assert [t.messages for t in reported] == sorted(t.messages for t in reported)
    assert (reported[-1].days_done, reported[-1].days_total, reported[-1].messages) == (2, 2, 40)
    assert len([t for t in reported if not t.committed]) >= 4


class Breaking(MemoryHistory):
    """The n-th call fails, and all that are under way with it."""

    errors: dict[int, Exception]

    async def page(self, cursor: Cursor) -> Page:
        page = await super().page(cursor)
        if self.calls in self.errors:
            raise self.errors[self.calls]
        return page


def test_of_several_errors_the_one_that_trying_again_would_not_mend_is_raised(archive: Archive) -> None:
    history = Breaking(evenly(400, days=2), LATER, page_size=5)
    history.errors = {n: NetworkError("gone") for n in range(40, 60)} | {41: SessionRevoked("dead")}
    with pytest.raises((NetworkError, SessionRevoked)):
        archive.fetch(history, TWO, pages_in_flight=3)
    fresh = MemoryHistory(history.messages, LATER, page_size=5)
    archive.fetch(fresh, TWO, pages_in_flight=3)
    assert archive.ids(TWO) == expected_ids(history.messages, TWO, LATER)
    assert fresh.calls < 80


def test_cancelled_it_waits_for_its_threads_and_the_next_call_goes_on(archive: Archive) -> None:
    messages = evenly(500, days=2)

    class Slow(MemoryHistory):
        async def page(self, cursor: Cursor) -> Page:
            if self.calls >= 30:  # of several in flight none may see the very number
                running.cancel()
            return await super().page(cursor)

    running: asyncio.Task[object]
    archive_fetch = archive.fetch

    def cancelled_run(coroutine):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        async def main() -> object:
            nonlocal running
            running = asyncio.ensure_future(coroutine)
            try:
                return await running
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        return real_run(main())

    real_run = asyncio.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run", cancelled_run)
        with pytest.raises(asyncio.CancelledError):
            archive_fetch(Slow(messages, LATER, page_size=5), TWO, pages_in_flight=3)
    assert not [t for t in threading.enumerate() if t.name.startswith("asyncio_") and t.is_alive()]
    rest = MemoryHistory(messages, LATER, page_size=5)
    archive_fetch(rest, TWO)
    assert archive.ids(TWO) == expected_ids(messages, TWO, LATER)
    assert rest.calls < 90


@pytest.mark.parametrize("date_inclusive", [False, True])
def test_the_first_and_last_second_of_a_day_belong_to_it(archive: Archive, *, date_inclusive: bool) -> None:
    edges = [day_start(DAY) - 1, day_start(DAY), day_end(DAY) - 1, day_end(DAY)]
    messages = [Said(n, at) for n, at in enumerate(edges, 1)]
    archive.fetch(MemoryHistory(messages, LATER, date_inclusive=date_inclusive), ONE)
    assert archive.ids(ONE) == {DAY: [2, 3]}


def test_dates_two_seconds_out_of_order_at_midnight_need_no_second_look(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    late = [-3, 1, -1, 1, 0, -1, 2, 60]
    messages = [Said(n, day_start(NEXT) + seconds) for n, seconds in enumerate(late, 1)]
    archive.fetch(MemoryHistory(messages, LATER, page_size=2), TWO)
    assert archive.ids(TWO) == {DAY: [1, 3, 6], NEXT: [2, 4, 5, 7, 8]}
    assert "came after the day was committed" not in caplog.text


def test_what_a_burst_holds_right_up_to_now_is_taken_once(archive: Archive) -> None:
    now = day_start(DAY) + 20
    messages = [Said(n, day_start(DAY) + n // 43) for n in range(1, 850)]
    history = MemoryHistory(messages, now, page_size=5)
    report = archive.fetch(history, ONE, pages_in_flight=4)
    assert archive.ids(ONE) == expected_ids(messages, ONE, now)
    assert report.splits
    assert report.repeated == 0


def test_nothing_is_spooled_while_a_day_is_committed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    committing = threading.Event()
    meddled: list[date] = []
    commit, spool = MortalStore.commit, MortalRequest.spool

    def slow_commit(*args: Any, **options: Any) -> CommittedDay:
        committing.set()
        time.sleep(0.02)
        done = commit(*args, **options)
        committing.clear()
        return done

    def watched_spool(request: MortalRequest, day: date, start: int) -> DaySpool:
        if committing.is_set():
            meddled.append(day)
        return spool(request, day, start)

    monkeypatch.setattr(MortalStore, "commit", slow_commit)
    monkeypatch.setattr(MortalRequest, "spool", watched_spool)
    days = DayRange(DAY, DAY + timedelta(days=7))
    archive.fetch(MemoryHistory(evenly(800, days=8), LATER + 9e6, page_size=10), days, pages_in_flight=3)
    assert not meddled


def test_killed_on_a_page_of_many_days_it_reads_that_page_again_and_no_other(archive: Archive) -> None:
    days = DayRange(DAY, DAY + timedelta(days=59))
    messages = evenly(120, days=60)
    until = float(day_end(days.last) + 86_400)
    whole = archive.fetch(MemoryHistory(messages, until, page_size=100), days, life=(life := Life()))
    assert whole.pages == 3
    for last in range(10, life.steps, 17):
        again = Archive(archive.root / str(last))
        history = MemoryHistory(messages, until, page_size=100)
        with pytest.raises(Killed):
            again.fetch(history, days, life=Life(last))
        again.fetch(history, days)
        assert again.bytes() == archive.bytes()
        assert history.calls <= 3 + 4, last
