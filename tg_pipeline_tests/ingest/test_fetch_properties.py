"""Whatever the history, the page size, the pages in flight and the kills: complete, nothing twice, few calls."""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.days import SECONDS_PER_DAY, DayRange, day_end, day_of, day_start
from tg_pipeline.ingest.segments import DATE_SLACK_SECONDS, FREE_SPLITS
from tg_pipeline_tests.ingest.archive import Killed, Life, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import MemoryHistory, Said

FIRST_DAY = date(2024, 2, 27)
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    """Up to five days of messages: empty days, busy ones, crowds at midnight, dates a little out of order, gaps."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    times: list[int] = []
    for n in range(-1, draw(st.integers(1, 5))):
        start = day_start(FIRST_DAY + timedelta(days=n))
        count = draw(st.sampled_from([0, 0, 1, 2, 5, 17, 40, 80]))
        spread = draw(st.sampled_from([SECONDS_PER_DAY, SECONDS_PER_DAY, 3_600, 30]))
        offset = rng.randrange(SECONDS_PER_DAY - spread + 1)
        times += [start + offset + rng.randrange(spread) for _ in range(count)]
        crowd = draw(st.sampled_from([0, 0, 0, 3]))
        times += [start + rng.choice([-1, 0, 0, 1]) for _ in range(crowd)]
    times.sort()
    disorder = draw(st.sampled_from([0, 0, 1, DATE_SLACK_SECONDS]))
    messages, number = [], draw(st.integers(1, 1_000))
    for at in times:
        empty = rng.random() < 0.05
        messages.append(Said(number, at - rng.randint(0, disorder), None if empty else f"m{number}"))
        number += rng.choice([1, 1, 1, 2, 9])
    return messages


page_sizes = st.sampled_from([2, 3, 5, 100])
day_ranges = st.builds(
    lambda skip, count: DayRange(FIRST_DAY + timedelta(days=skip), FIRST_DAY + timedelta(days=skip + count)),
    st.integers(0, 2),
    st.integers(0, 4),
)
long_after = float(day_end(FIRST_DAY + timedelta(days=30)))


@given(histories(), day_ranges, page_sizes, st.booleans(), st.integers(1, 4), st.integers(0, 999))
@EXAMPLES
def test_every_message_is_in_its_day_once_and_calls_are_few(
    messages: list[Said], days: DayRange, size: int, date_inclusive: bool, in_flight: int, seed: int
) -> None:
    history = MemoryHistory(messages, long_after, size, date_inclusive, turns=random.Random(seed))
    with temporary_archive() as files:
        report = files.fetch(history, days, pages_in_flight=in_flight)
        assert files.ids(days) == expected_ids(messages, days, long_after)
        assert files.is_tidy()
    assert [d.day for d in sorted(report.days, key=lambda d: d.day)] == list(days)
    assert all(d.sealed for d in report.days)
    assert report.pages == history.calls
    assert report.messages == sum(d.message_count for d in report.days)
    crowd = most_within(messages, 2 * DATE_SLACK_SECONDS)
    in_range = messages_near(messages, days) + report.splits * crowd
    assert history.calls <= ceil(in_range / size) + 1 + report.splits + report.rereads
    if in_flight == 1:
        assert report.splits == report.rereads == 0


@given(histories(), page_sizes, st.integers(1, 4), st.integers(0, 6 * SECONDS_PER_DAY), st.booleans())
@EXAMPLES
def test_read_while_history_still_grows_it_holds_what_there_was_and_later_the_rest(
    messages: list[Said], size: int, in_flight: int, after: int, in_a_crowd: bool
) -> None:
    now = day_start(FIRST_DAY) + after
    if in_a_crowd and messages:
        now = max(now, messages[len(messages) // 2].at + 2)
    days = DayRange(FIRST_DAY, day_of(now))
    with temporary_archive() as files:
        files.fetch(MemoryHistory(messages, now, size), days, pages_in_flight=in_flight)
        assert files.ids(days) == expected_ids(messages, days, now)
        report = files.fetch(MemoryHistory(messages, long_after, size), days, pages_in_flight=in_flight)
        assert files.ids(days) == expected_ids(messages, days, long_after)
    assert not any(day.deleted or day.edited for day in report.days)


@given(histories(), page_sizes, st.integers(1, 4), st.data())
@EXAMPLES
def test_killed_at_any_step_and_started_again_it_ends_as_if_undisturbed(
    messages: list[Said], size: int, in_flight: int, data: st.DataObject
) -> None:
    days = DayRange(FIRST_DAY, FIRST_DAY + timedelta(days=3))
    with temporary_archive() as files:
        undisturbed = MemoryHistory(messages, long_after, size)
        files.fetch(undisturbed, days, pages_in_flight=in_flight)
        whole = files.bytes()
    calls, kills = 0, 0
    with temporary_archive() as files:
        while True:
            last = data.draw(st.none() | st.integers(1, 60), label="dies at step") if kills < 5 else None
            life = Life(last)
            history = MemoryHistory(messages, long_after, size, before_answer=life.step)
            try:
                files.fetch(history, days, pages_in_flight=in_flight, life=life)
            except Killed:
                kills += 1
                continue
            finally:
                calls += history.calls
            break
        assert files.bytes() == whole
        assert files.is_tidy()
    crowd = most_within(messages, 2 * DATE_SLACK_SECONDS)
    pages_lost = 2 * in_flight + ceil(crowd / size)
    looks = (in_flight + 1) * (2 + ceil(crowd / size))  # whether a half-read day is still seen as it was
    cuts = 2 * FREE_SPLITS if in_flight > 1 else 0
    assert calls <= undisturbed.calls + kills * (pages_lost + looks) + (kills + 1) * cuts


def messages_near(messages: Sequence[Said], days: DayRange) -> int:
    """How many messages must pass by to read the days: dates are trusted to DATE_SLACK_SECONDS only."""
    start, end = day_start(days.first) - DATE_SLACK_SECONDS, day_end(days.last) + DATE_SLACK_SECONDS
    return sum(start - DATE_SLACK_SECONDS <= m.at < end + DATE_SLACK_SECONDS for m in messages)


def most_within(messages: Sequence[Said], seconds: int) -> int:
    """The largest number of messages in any span of so many seconds."""
    times = sorted(m.at for m in messages)
    return max((sum(at <= t <= at + seconds for t in times) for at in times), default=0)


def test_day_of_the_last_second_and_of_midnight_differ() -> None:
    assert day_of(day_end(FIRST_DAY) - 1) == FIRST_DAY
    assert day_of(day_end(FIRST_DAY)) == FIRST_DAY + timedelta(days=1)
