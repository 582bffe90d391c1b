"""Which days of a read are believed to have lost their messages, by the rule and against its plainest form."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.archive import Verdict
from tg_pipeline.storage.deletions import HELD_BACK_MESSAGES, HELD_BACK_SHARE, Deletions

FIRST = date(2024, 5, 1)
Counts = list[tuple[int, int]]
"""Of each day, what is lacking of what was expected."""


def days(number: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(number)]


def verdicts(read: Counts) -> list[Verdict]:
    """What becomes of each day at the end of the read."""
    deletions = Deletions()
    for day, (lacking, expected) in zip(days(len(read)), read, strict=True):
        deletions.judge(day, lacking, expected)
    deletions.end()
    return [deletions.judge(day, *counts) for day, counts in zip(days(len(read)), read, strict=True)]


def held_back(read: Counts) -> list[int]:
    return [n for n, verdict in enumerate(verdicts(read)) if verdict is Verdict.HELD_BACK]


@pytest.mark.parametrize(
    "read",
    [
        [(20, 20)],
        [(10, 20)],
        [(8, 9)] * 30,
        [(1, 1)] * 10,
        [(1, 2)] * 10,
        [(9, 9), (0, 0), (0, 0), (1, 2)],
        [(9, 9), (0, 9)] * 15,
        [(5, 9), (4, 9)] * 15,
        [(9, 9), (0, 20)] * 15,
        [(0, 200), (3, 5)] * 4,
    ],
)
def test_a_stretch_of_days_that_lacks_half_of_what_was_expected_is_held_back(read: Counts) -> None:
    assert held_back(read) == [n for n, (lacking, expected) in enumerate(read) if lacking and 2 * lacking >= expected]


@pytest.mark.parametrize(
    "read",
    [
        [(3, 3)],
        [(9, 9)],
        [(9, 9), (0, 0), (0, 20)],
        [(9, 20)] * 30,
        [(40, 2_000)],
        [(1, 1), *[(0, 3)] * 6] * 50,
        [(2, 3), (0, 9), (0, 9)] * 40,
    ],
)
def test_deletions_here_and_there_are_believed(read: Counts) -> None:
    assert set(verdicts(read)) == {Verdict.DELETED}


def test_a_lost_stretch_leaves_deletions_elsewhere_alone() -> None:
    assert held_back([(1, 1), *[(0, 40)] * 5, *[(9, 9)] * 5, *[(0, 40)] * 5, (2, 2)]) == [6, 7, 8, 9, 10]


def test_a_day_is_decided_as_soon_as_it_can_be() -> None:
    deletions, (first, second, third, later) = Deletions(), (*days(3), FIRST + timedelta(days=9))
    assert deletions.judge(first, 0, 9) is Verdict.DELETED
    assert deletions.judge(second, 9, 9) is Verdict.UNDECIDED
    assert deletions.judge(later, 9, 9) is Verdict.UNDECIDED, "what lies between is not known yet"
    assert deletions.judge(third, 9, 9) is Verdict.HELD_BACK
    assert deletions.judge(second, 9, 9) is Verdict.HELD_BACK


def plainly(read: Counts) -> list[int]:
    """Every stretch and every row, tried one by one."""
    found = set()
    for begin in range(len(read)):
        for end in range(begin + 1, len(read) + 1):
            lacking = sum(counts[0] for counts in read[begin:end])
            expected = sum(counts[1] for counts in read[begin:end])
            bad = "".join("xo"[2 * some < all_] for some, all_ in read[begin:end] if all_)
            is_row = bad.startswith("x") and bad.endswith("x") and "oo" not in bad
            lost = sum(some for some, all_ in read[begin:end] if 2 * some >= all_) if is_row else 0
            if lost >= HELD_BACK_MESSAGES or (lacking >= HELD_BACK_MESSAGES and lacking >= HELD_BACK_SHARE * expected):
                found |= set(range(begin, end))
    return [n for n in sorted(found) if read[n][0] and read[n][0] >= HELD_BACK_SHARE * read[n][1]]


COUNTS = st.integers(0, 12).flatmap(lambda expected: st.tuples(st.integers(0, expected), st.just(expected)))


@settings(max_examples=60, deadline=None)
@given(read=st.lists(COUNTS, max_size=12))
def test_the_rule_is_that_of_all_stretches(read: Counts) -> None:
    assert held_back(read) == plainly(read)
