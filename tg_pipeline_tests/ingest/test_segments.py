"""What is planned of a request, and where a segment may be cut."""

from datetime import date, timedelta

import pytest

from tg_pipeline.contracts.days import DayRange, day_end, day_start
from tg_pipeline.ingest.segments import DATE_SLACK_SECONDS, FREE_SPLITS, PAGES_PER_SPLIT, Segment, plan, split
from tg_pipeline_tests.ingest.memory_history import MemoryPage, Said

DAY = date(2024, 3, 1)
DAYS = [DAY + timedelta(days=n) for n in range(5)]
START = day_start(DAY)
END = day_end(DAYS[-1])
LATER = END + 86_400
ALL = DayRange(DAYS[0], DAYS[-1])


def bounds(segments: list[Segment]) -> list[tuple[int, int, int | None]]:
    return [(s.start, s.end, s.after_id) for s in segments]


def test_a_new_request_is_one_segment() -> None:
    assert bounds(plan(ALL, set(), set(), {})) == [(START, END, None)]


def test_committed_days_are_left_out_and_part_the_rest() -> None:
    segments = plan(ALL, {DAYS[0], DAYS[2]}, set(), {})
    assert bounds(segments) == [
        (day_start(DAYS[1]), day_end(DAYS[1]), None),
        (day_start(DAYS[3]), END, None),
    ]


def test_a_day_in_flight_goes_on_after_its_last_id_through_the_days_behind_it() -> None:
    segments = plan(ALL, {DAYS[0]}, set(), {DAYS[1]: {day_start(DAYS[1]): (70, 77)}})
    assert bounds(segments) == [(day_start(DAYS[1]), END, 77)]


def test_a_covered_part_is_not_read_again_and_what_follows_it_begins_by_date() -> None:
    cut = START + 1_000
    segments = plan(DayRange(DAY, DAY), set(), {(START, cut)}, {DAY: {START: (5, 9)}})
    assert bounds(segments) == [(START, cut, 9), (cut, day_end(DAY), None)]
    assert [s.done for s in segments] == [True, False]


def test_a_cut_within_a_day_is_kept_where_something_was_read_behind_it() -> None:
    cut = START + 1_000
    segments = plan(DayRange(DAY, DAY), set(), set(), {DAY: {START: (5, 9), cut: (12, 20)}})
    assert bounds(segments) == [(START, cut, 9), (cut, day_end(DAY), 20)]


def busy(*, passed: int, pages: int = 100, end: int = END) -> Segment:
    segment = Segment(START, end)
    segment.pages = pages
    segment.passed = segment.reached = passed
    return segment


def test_a_segment_is_cut_in_the_middle_of_what_is_left_at_midnight_if_one_is_near() -> None:
    segment = busy(passed=day_end(DAYS[0]))
    later = split([segment], until=LATER, pages=100, splits=0)
    assert later is not None
    assert (segment.end, later.start, later.end) == (day_start(DAYS[3]), day_start(DAYS[3]), END)


def test_the_segment_with_most_pages_left_is_cut() -> None:
    slow, fast = busy(passed=START + 86_400, pages=10), busy(passed=START + 86_400, pages=90)
    assert split([slow, fast], until=LATER, pages=100, splits=0) is not None
    assert (slow.end, fast.end < END) == (END, True)


@pytest.mark.parametrize(
    ("segments", "splits"),
    [
        ([], 0),
        ([Segment(START, END)], 0),
        ([busy(passed=day_start(DAYS[4]), pages=3)], 0),
        ([busy(passed=START + 86_400)], FREE_SPLITS + 100 // PAGES_PER_SPLIT),
    ],
    ids=["nobody is busy", "pace unknown", "nearly done", "enough cuts"],
)
def test_no_cut_is_made_where_it_would_not_pay(segments: list[Segment], splits: int) -> None:
    assert split(segments, until=LATER, pages=100, splits=splits) is None


def test_history_that_ends_sooner_than_the_segment_is_cut_at_half_of_what_there_is() -> None:
    segment = busy(passed=START + 1_000, pages=10)
    later = split([segment], until=START + 5_000, pages=10, splits=0)
    assert later is not None
    assert later.start == START + 3_000


def test_no_cut_is_made_where_messages_were_taken() -> None:
    segment = busy(passed=START + 10)
    segment.reached = START + 16
    assert split([segment], until=START + 20, pages=100, splits=0) is None
    assert segment.end == END
    segment.reached = START + 15
    assert split([segment], until=START + 20, pages=100, splits=0) is not None


def test_a_page_is_noted_when_it_comes_and_passed_when_it_is_safe() -> None:
    segment = Segment(START, END)
    page = MemoryPage([Said(1, START), Said(2, START + 500), Said(3, START + 499)])
    assert not segment.receive(page, LATER)
    assert (segment.after_id, segment.reached, segment.passed) == (3, START + 501, START)
    segment.taken(page, ended=False)
    assert segment.passed == START + 499 - DATE_SLACK_SECONDS


@pytest.mark.parametrize(("beyond", "last"), [(DATE_SLACK_SECONDS - 1, False), (DATE_SLACK_SECONDS, True)])
def test_a_page_is_the_last_when_it_reaches_beyond_the_segment_by_the_slack_of_dates(
    beyond: int, *, last: bool
) -> None:
    assert Segment(START, END).receive(MemoryPage([Said(1, END + beyond)]), LATER) is last


def test_an_empty_page_is_the_last_and_one_of_empty_messages_is_not() -> None:
    assert Segment(START, END).receive(MemoryPage([]), LATER)
    assert not Segment(START, END).receive(MemoryPage([Said(1, 0, None)]), LATER)


def test_the_pace_of_a_resumed_segment_is_that_of_what_is_read_now() -> None:
    segment = Segment(START, START + 10_000, after_id=50)
    page = MemoryPage([Said(51, START + 8_000), Said(52, START + 9_002), Said(53, START + 9_002)])
    segment.receive(page, LATER)
    segment.taken(page, ended=False)
    assert segment.pages_left(LATER) == pytest.approx(1.0)
