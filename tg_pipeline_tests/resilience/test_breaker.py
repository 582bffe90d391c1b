"""The circuit breaker's rules, on times that are just numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.contracts.policy import BreakerPolicy
from tg_pipeline.resilience.breaker import (
    TRANSITIONS_KEPT,
    Breaker,
    Open,
    ProbeUnderWay,
    admit,
    dump,
    failed,
    parse,
    released,
    succeeded,
)

POLICY = BreakerPolicy(failures=3, window_seconds=30, open_seconds=60, probes=1, probe_seconds=20)
LEGAL = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}


def opened(now: float = 1_000.0) -> Breaker:
    breaker = Breaker()
    for _ in range(POLICY.failures):
        breaker = failed(breaker, POLICY, now, "x")
    return breaker


def test_failures_in_a_row_within_the_window_open_it() -> None:
    breaker = Breaker()
    for moment in (0, 10):
        breaker = failed(breaker, POLICY, moment, "x")
        assert admit(breaker, POLICY, moment, "y") == (breaker, None)
    breaker = failed(breaker, POLICY, 20, "x")
    assert breaker.state == "open"
    assert admit(breaker, POLICY, 21, "y")[1] == Open(59)


def test_who_is_refused_hears_of_the_failure_that_opened_it() -> None:
    breaker = Breaker()
    for number in range(POLICY.failures):
        breaker = failed(breaker, POLICY, 0, "x", f"Failure {number}.")
    assert admit(parse(dump(breaker), POLICY, 0), POLICY, 0, "y")[1] == Open(60, "Failure 2.")


def test_failures_that_are_spread_out_do_not_open_it() -> None:
    breaker = Breaker()
    for moment in range(0, 2_000, 16):
        breaker = failed(breaker, POLICY, moment, "x")
    assert breaker.state == "closed"


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker()
    for moment in range(20):
        breaker = failed(breaker, POLICY, moment, "x")
        breaker = succeeded(failed(breaker, POLICY, moment, "x"), moment, "x")
    assert breaker == Breaker()


def test_half_open_lets_one_call_try_and_the_others_wait() -> None:
    breaker, verdict = admit(opened(), POLICY, 1_060, "a")
    assert (verdict, breaker.state) == (None, "half_open")
    assert admit(breaker, POLICY, 1_061, "b") == (breaker, ProbeUnderWay())


def test_the_probe_decides() -> None:
    probing, _ = admit(opened(), POLICY, 1_060, "a")
    assert succeeded(probing, 1_062, "a").state == "closed"
    again = failed(probing, POLICY, 1_062, "a")
    assert admit(again, POLICY, 1_063, "b")[1] == Open(59)


def test_calls_from_before_it_opened_decide_nothing() -> None:
    probing, _ = admit(opened(), POLICY, 1_060, "a")
    assert succeeded(probing, 1_062, "old") is probing
    assert failed(probing, POLICY, 1_062, "old") is probing


def test_a_probe_that_is_given_up_or_dies_frees_its_place() -> None:
    probing, _ = admit(opened(), POLICY, 1_060, "a")
    assert admit(released(probing, "a"), POLICY, 1_061, "b")[1] is None
    assert admit(probing, POLICY, 1_079, "b")[1] == ProbeUnderWay()
    assert admit(probing, POLICY, 1_080, "b")[1] is None


def test_a_deadline_in_the_far_future_is_not_believed() -> None:
    breaker = parse(dump(opened(now=9e9)), POLICY, 1_000)
    assert admit(breaker, POLICY, 1_000, "a")[1] == Open(POLICY.open_seconds)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"null", b"[]", b"7", b'{"open_until": "x"}', b'{"probes": [1]}', b'{"open_until": 5}', b"\xff"],
)
def test_what_makes_no_sense_is_a_closed_breaker(value: bytes | None) -> None:
    assert parse(value, POLICY, 1_000) == Breaker()


Event = tuple[str, str, float]
EVENTS = st.lists(
    st.tuples(st.sampled_from(["admit", "ok", "fail", "drop"]), st.sampled_from("abcd"), st.floats(0, 40)), max_size=80
)


@given(EVENTS)
def test_every_history_is_of_legal_steps_and_survives_storage(events: list[Event]) -> None:
    now, breaker, state = 1_000.0, Breaker(), "closed"
    for what, who, passed in events:
        now += passed
        match what:
            case "admit":
                breaker, _ = admit(breaker, POLICY, now, who)
            case "ok":
                breaker = succeeded(breaker, now, who)
            case "fail":
                breaker = failed(breaker, POLICY, now, who)
            case _:
                breaker = released(breaker, who)
        assert breaker.state == state or (state, breaker.state) in LEGAL
        state = breaker.state
        assert parse(dump(breaker), POLICY, now) == breaker
        assert len(breaker.transitions) <= TRANSITIONS_KEPT
        assert len(breaker.probes) <= POLICY.probes
