"""Dates out of the order of the ids: whatever is fetched in which order, the same archive."""

import random
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.days import SECONDS_PER_DAY, DayRange, day_end, day_start
from tg_pipeline_tests.ingest.archive import Archive, Killed, Life, expected_ids, temporary_archive
from tg_pipeline_tests.ingest.memory_history import MemoryHistory, Said
from tg_pipeline_tests.ingest.test_fetch_properties import FIRST_DAY

DAYS = 5
ALL = DayRange(FIRST_DAY, FIRST_DAY + timedelta(days=DAYS - 1))
LATER = float(day_end(ALL.last) + 10 * SECONDS_PER_DAY)
SHIFTS = (1, 30, 3_600, 40_000, SECONDS_PER_DAY, 3 * SECONDS_PER_DAY)
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def disordered(
    draw: st.DrawFn, counts: Sequence[int] = (3, 30, 120, 250), shares: Sequence[float] = (0.01, 0.05, 0.3, 1.0)
) -> list[Said]:
    """Five days of messages of which some are dated seconds, hours or days before or after their neighbours."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    count = draw(st.sampled_from(counts))
    share = draw(st.sampled_from(shares))
    start, end = day_start(ALL.first), day_end(ALL.last) - 1
    messages, number = [], 1
    for at in sorted(rng.randint(start, end) for _ in range(count)):
        shift = rng.choice(SHIFTS) * rng.choice([-1, 1]) if rng.random() < share else 0
        messages.append(Said(number, min(max(at + shift, start), end), f"m{number}"))
        number += rng.choice([1, 1, 1, 7])
    return messages


@st.composite
def orders(draw: st.DrawFn) -> list[DayRange]:
    """Ranges that cover all days: one by one, in any order, overlapping."""
    days = list(ALL)
    match draw(st.sampled_from(["descending", "shuffled", "ranges"])):
        case "descending":
            return [DayRange(day, day) for day in days[::-1]]
        case "shuffled":
            return [DayRange(day, day) for day in draw(st.permutations(days))]
        case _:
            cuts = draw(st.lists(st.tuples(st.integers(0, DAYS - 1), st.integers(0, DAYS - 1)), max_size=3))
            ranges = [DayRange(days[min(pair)], days[max(pair)]) for pair in cuts]
            missing = [day for day in days if not any(day in asked for asked in ranges)]
            return draw(st.permutations([*ranges, *(DayRange(day, day) for day in missing)]))


def whole(archive: Archive, messages: Sequence[Said]) -> dict[str, bytes]:
    """The archive's files, which hold every message on the day of its date."""
    assert archive.ids(ALL) == expected_ids(messages, ALL, LATER)
    assert archive.is_tidy()
    return archive.bytes()


ASCENDING = [DayRange(day, day) for day in ALL]


@given(
    disordered(),
    orders() | st.just(ASCENDING),
    st.integers(1, 4),
    st.sampled_from([2, 7, 100]),
    st.integers(0, 99),
)
@EXAMPLES
def test_any_mixture_of_ranges_and_days_gives_the_same_archive(
    messages: list[Said], order: list[DayRange], in_flight: int, size: int, seed: int
) -> None:
    with temporary_archive() as files:
        files.fetch(MemoryHistory(messages, LATER, size), ALL)
        expected = whole(files, messages)
    with temporary_archive() as files:
        for days in order:
            history = MemoryHistory(messages, LATER, size, turns=random.Random(seed))
            files.fetch(history, days, pages_in_flight=in_flight)
        assert whole(files, messages) == expected
        again = files.fetch(MemoryHistory(messages, LATER, size), order[0], pages_in_flight=in_flight)
        assert not any(day.changed or day.deleted for day in again.days)
        assert files.bytes() == expected


@given(disordered(counts=(120, 250), shares=(0.01, 0.05)), st.sampled_from([7, 100]))
@settings(parent=EXAMPLES, max_examples=8)
def test_day_after_day_nothing_is_lost_wherever_dates_lead_to(messages: list[Said], size: int) -> None:
    with temporary_archive() as files:
        for days in ASCENDING:
            files.fetch(MemoryHistory(messages, LATER, size, bisects=True), days)
        whole(files, messages)


@given(disordered(), orders(), st.integers(1, 4), st.data())
@EXAMPLES
def test_interrupted_anywhere_it_gives_the_same_archive(
    messages: list[Said], order: list[DayRange], in_flight: int, data: st.DataObject
) -> None:
    with temporary_archive() as files:
        files.fetch(MemoryHistory(messages, LATER, 7), ALL)
        expected = whole(files, messages)
    kills = 0
    with temporary_archive() as files:
        for days in order:
            while True:
                life = Life(data.draw(st.none() | st.integers(1, 40), label="dies at step") if kills < 4 else None)
                try:
                    history = MemoryHistory(messages, LATER, 7, before_answer=life.step)
                    files.fetch(history, days, pages_in_flight=in_flight, life=life)
                except Killed:
                    kills += 1
                else:
                    break
        assert whole(files, messages) == expected
