"""The budget of one account and method: what it may never do, whatever comes in, and what it learns."""

import dataclasses
import heapq
import itertools
import random
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.contracts.policy import RatePolicy
from tg_pipeline.resilience.budget import STALE_SECONDS, Budget, Wait, admit, dump, flooded, parse
from tg_pipeline.simulator.faults.engine import Bucket
from tg_pipeline.simulator.faults.rules import FloodBucket

ADAPTIVE = RatePolicy()
FIXED = RatePolicy(strategy="fixed", start_per_second=2.0, burst=5)

Step = tuple[float, int]
steps = st.lists(st.tuples(st.floats(0, 20), st.sampled_from([0, 0, 0, 0, 0, 0, 3, 30])), max_size=150)
"""Pauses, and the flood wait that is answered to the call after each; 0 for none."""


def play(steps: Sequence[Step], policy: RatePolicy, now: float = 1_000.0) -> tuple[Budget, list[float]]:
    """The budget after `steps`, kept as bytes between them, and when calls were admitted."""
    budget, admitted = parse(None, policy, now), []
    for pause, wait in steps:
        now += pause
        budget = parse(dump(budget), policy, now)
        budget, refused = admit(budget, policy, now)
        if refused is None:
            admitted.append(now)
            if wait:
                budget = flooded(budget, policy, now, seconds=wait, reason="flood")
    return budget, admitted


@given(steps)
def test_a_fixed_budget_never_admits_more_than_its_burst_and_its_rate_over_any_time(steps: Sequence[Step]) -> None:
    _, admitted = play(steps, FIXED)
    for first, begin in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= FIXED.burst + FIXED.start_per_second * (admitted[last] - begin) + 1e-6


@given(steps, st.floats(0, 100))
def test_nobody_is_admitted_while_telegram_asks_to_wait(steps: Sequence[Step], seconds: float) -> None:
    budget, _ = play(steps, ADAPTIVE)
    reported = budget.as_of
    budget = flooded(budget, ADAPTIVE, reported, seconds=seconds, reason="premium")
    until = budget.blocked_until
    assert until is not None
    assert until >= reported + seconds
    for now in (reported, reported + seconds * 0.9, until - 0.001):
        if reported <= now < until:
            same, wait = admit(parse(dump(budget), ADAPTIVE, now), ADAPTIVE, now)
            assert wait == Wait(until - now, "premium")
            assert same == budget


@given(steps)
def test_who_sleeps_as_long_as_told_is_admitted(steps: Sequence[Step]) -> None:
    budget, _ = play(steps, ADAPTIVE)
    now = budget.as_of
    for _ in range(4):
        budget, wait = admit(budget, ADAPTIVE, now)
        if wait is None:
            return
        assert wait.seconds > 0
        now += wait.seconds
    pytest.fail(f"Still waiting: {budget}")


@given(steps)
def test_what_is_kept_is_what_was_there(steps: Sequence[Step]) -> None:
    budget, _ = play(steps, ADAPTIVE)
    assert parse(dump(budget), ADAPTIVE, budget.as_of) == budget


@given(steps, st.floats(0.01, 100), st.floats(0.01, 100), st.integers(1, 20))
def test_the_policy_of_today_bounds_what_was_learned_under_another(
    steps: Sequence[Step], one: float, other: float, burst: int
) -> None:
    floor, ceiling = sorted((one, other))
    policy = RatePolicy(start_per_second=floor, floor_per_second=floor, ceiling_per_second=ceiling, burst=burst)
    budget, _ = play(steps, ADAPTIVE)
    for found in (parse(dump(budget), policy, budget.as_of), play(steps, policy)[0]):
        assert floor <= found.rate <= ceiling
        assert 1 <= found.burst <= burst
        assert found.tokens <= found.burst


fresh = parse(None, ADAPTIVE, 7.0)
odd_values = st.one_of(st.none(), st.text(max_size=3), st.lists(st.booleans(), max_size=1), st.just(-1), st.just(1e400))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_budget_give_a_new_one(value: bytes) -> None:
    assert parse(value, ADAPTIVE, 7.0) == fresh


@given(st.sampled_from(["rate", "burst", "tokens", "calls"]), odd_values)
def test_a_budget_with_a_nonsense_field_gives_a_new_one(field: str, value: object) -> None:
    assert parse(orjson.dumps(dataclasses.asdict(fresh) | {field: value}), ADAPTIVE, 7.0) == fresh


def test_a_flood_that_no_telegram_can_have_asked_for_gives_a_new_one() -> None:
    assert parse(dump(dataclasses.replace(fresh, blocked_until=1e300)), ADAPTIVE, 7.0) == fresh
    longest = dataclasses.replace(fresh, blocked_until=7.0 + 2**31 - 1)
    assert parse(dump(longest), ADAPTIVE, 7.0) == longest


def test_one_call_at_a_fixed_rate_sets_a_learned_rate_back_to_it() -> None:
    learned = dataclasses.replace(fresh, rate=20.0)
    paid, _ = admit(parse(dump(learned), FIXED, 7.0), FIXED, 7.0)
    assert parse(dump(paid), ADAPTIVE, 8.0).rate == FIXED.start_per_second


def test_a_fixed_budget_keeps_rate_and_burst_through_floods_and_success() -> None:
    budget, admitted = play([(1.0, 0)] * 500 + [(0.0, 3), (4.0, 0)] * 20, FIXED)
    assert len(admitted) > 500
    assert (budget.rate, budget.burst) == (FIXED.start_per_second, FIXED.burst)


def test_a_shorter_wait_does_not_end_a_longer_one() -> None:
    budget = flooded(fresh, ADAPTIVE, 7.0, seconds=30, reason="flood")
    budget = flooded(budget, ADAPTIVE, 8.0, seconds=3, reason="flood")
    assert budget.blocked_until == 37.0


def test_answers_to_calls_under_way_teach_what_the_first_of_them_taught() -> None:
    one = flooded(fresh, ADAPTIVE, 7.0, seconds=3, reason="flood")
    two = flooded(one, ADAPTIVE, 7.1, seconds=6, reason="flood")
    assert two.rate == one.rate
    assert two.blocked_until == pytest.approx(13.1)


def test_a_rate_that_nobody_needs_does_not_grow() -> None:
    budget, admitted = play([(5.0, 0)] * 1_000, ADAPTIVE)
    assert len(admitted) == 1_000
    assert budget.rate == ADAPTIVE.start_per_second


def test_a_fast_rate_is_forgotten_after_a_day_and_a_slow_one_is_not() -> None:
    fast = dataclasses.replace(fresh, rate=20.0)
    slow = dataclasses.replace(fresh, rate=0.3)
    later = 7.0 + STALE_SECONDS
    assert parse(dump(fast), ADAPTIVE, later).rate == 20.0
    assert parse(dump(fast), ADAPTIVE, later + 1).rate == ADAPTIVE.start_per_second
    assert parse(dump(slow), ADAPTIVE, later + 1).rate == 0.3


def test_a_clock_that_is_set_back_leaves_the_wait_as_long_as_it_was() -> None:
    budget = flooded(fresh, ADAPTIVE, 1_000_000.0, seconds=30, reason="flood")
    for now in (999_000.0, 0.0):
        budget = parse(dump(budget), ADAPTIVE, now)
        assert admit(budget, ADAPTIVE, now)[1] == Wait(30.0, "flood")


def test_who_slept_a_little_longer_than_asked_does_not_come_back_with_a_burst() -> None:
    budget = flooded(dataclasses.replace(fresh, rate=20.0), ADAPTIVE, 7.0, seconds=30, reason="flood")
    budget, wait = admit(budget, ADAPTIVE, 40.0)
    assert wait is None
    assert admit(budget, ADAPTIVE, 40.0)[1] == Wait(1 / budget.rate, "rate")


def test_a_flood_within_the_burst_after_a_pause_teaches_the_burst() -> None:
    budget = dataclasses.replace(fresh, rate=20.0, burst=8)
    for expected in (4, 2, 1):
        for pause in (60, 60, 0):
            budget, _ = admit(budget, ADAPTIVE, budget.as_of + pause)
        budget = flooded(budget, ADAPTIVE, budget.as_of, seconds=3, reason="flood")
        assert (budget.rate, budget.burst) == (20.0, expected)


WARM_UP = 1_000


def closed_loop(rule: FloodBucket, *, asking: int, seed: int = 0, latency: float = 0.05) -> tuple[float, float]:
    """2,000 calls by `asking` who share a budget, against a server's bucket: the share used of what the server allows
    after the warm-up, and the share of calls that were refused.
    """
    dice, server, budget = random.Random(seed), Bucket(rule.burst, 0.0), parse(None, ADAPTIVE, 0.0)
    events = [(number / 1_000, number, "ask", 0) for number in range(asking)]
    done: list[float] = []
    refused, order = 0, itertools.count(asking)
    while len(done) < 2 * WARM_UP:
        now, _, what, wait_seconds = heapq.heappop(events)
        pause, after = latency / 2, "ask"
        if what == "ask":
            budget, wait = admit(budget, ADAPTIVE, now)
            if wait is None:
                after = "judge"
            else:
                pause = wait.seconds + (dice.uniform(0, 3) if wait.reason == "flood" else 0)
        elif what == "judge":
            wait_seconds, after = server.wait(rule, now), "answer"
        elif wait_seconds:
            budget = flooded(budget, ADAPTIVE, now, seconds=wait_seconds, reason="flood")
            refused, pause = refused + 1, wait_seconds + dice.uniform(0, 3)
        else:
            done.append(now)
            pause = 0
        heapq.heappush(events, (now + pause, next(order), after, wait_seconds if after == "answer" else 0))
    return WARM_UP / (done[-1] - done[WARM_UP - 1]) / rule.rate, refused / (refused + len(done))


@pytest.mark.parametrize("wait_seconds", [3, 10, 30])
@pytest.mark.parametrize("burst", [1, 10, 100])
@pytest.mark.parametrize("rate", [0.3, 2, 20])
def test_a_hidden_bucket_is_used_to_nine_tenths_and_refuses_less_than_one_in_a_hundred(
    rate: float, burst: int, wait_seconds: int
) -> None:
    used, refused = closed_loop(FloodBucket(rate=rate, burst=burst, wait_seconds=wait_seconds), asking=2)
    assert used >= 0.9
    assert refused < 0.01


def test_four_processes_with_two_calls_each_share_one_bucket() -> None:
    used, refused = closed_loop(FloodBucket(rate=2, burst=10, wait_seconds=10), asking=8)
    assert used >= 0.9
    assert refused < 0.01
