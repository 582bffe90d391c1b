"""Fault scripts: which requests a rule strikes, and what is said of a bad script."""

import json
from pathlib import Path
from typing import Any

import pytest

from tg_pipeline.simulator import Error, FaultScript, FloodBucket, Latency, SimulatorError
from tg_pipeline.simulator.fault_script import load_script, parse_script
from tg_pipeline.simulator.faults import Faults


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def faults(*rules: Any, seed: int = 0, clock: Clock | None = None) -> Faults:
    judge = Faults(clock or Clock())
    judge.load(FaultScript(seed=seed, rules=list(rules)))
    return judge


def outcome(
    judge: Faults, method: str = "messages.getHistory", dc_id: int = 2, chat: str | None = None, **params: Any
) -> str:
    """The error that a request meets, or "-"."""
    rule = judge.judge(method, params, chat, dc_id).rule
    return rule.error if isinstance(rule, Error) else "-"


def test_a_rule_skips_then_strikes_then_is_spent() -> None:
    judge = faults(Error(error="RPC_CALL_FAIL", skip=2, count=3))
    assert [outcome(judge) for _ in range(7)] == ["-", "-", *["RPC_CALL_FAIL"] * 3, "-", "-"]


def test_the_first_rule_that_strikes_decides() -> None:
    judge = faults(Error(error="FLOOD_WAIT_1", count=1), Error(error="FLOOD_WAIT_2", count=1))
    assert [outcome(judge) for _ in range(3)] == ["FLOOD_WAIT_1", "FLOOD_WAIT_2", "-"]


def test_methods_are_named_or_matched_by_pattern() -> None:
    judge = faults(Error(error="A", method="messages.getHistory"), Error(error="B", method="messages.*"))
    methods = ("messages.getHistory", "messages.getReplies", "users.getUsers")
    assert [outcome(judge, method) for method in methods] == ["A", "B", "-"]


@pytest.mark.parametrize(
    ("when", "strikes"),
    [
        ({"limit": 100}, True),
        ({"limit": 99}, False),
        ({"limit": {"min": 50}}, True),
        ({"limit": {"min": 50, "max": 60}}, False),
        ({"limit": {"max": 60}}, False),
        ({"peer.channel_id": 5}, True),
        ({"peer.channel_id": 5, "limit": 99}, False),
        ({"peer.channel_id.deeper": 5}, False),
        ({"absent": None}, True),
        ({"absent": {"min": 0}}, False),
        ({"chat": "@Alpha"}, True),
        ({"chat": "beta"}, False),
        ({"flag": True}, True),
    ],
)
def test_every_entry_of_when_must_hold(when: dict[str, Any], *, strikes: bool) -> None:
    judge = faults(Error.model_validate({"error": "X", "when": when}))
    struck = outcome(judge, chat="alpha", limit=100, peer={"channel_id": 5}, flag=True) == "X"
    assert struck == strikes


def test_probability_is_seeded() -> None:
    def run(seed: int) -> list[str]:
        judge = faults(Error(error="X", probability=0.5), seed=seed)
        return [outcome(judge) for _ in range(200)]

    assert run(1) == run(1) != run(2)
    assert 60 < run(1).count("X") < 140


def test_latency_adds_up_and_lets_the_next_rule_speak() -> None:
    judge = faults(Latency(ms=100), Latency(ms=50, jitter_ms=100), Error(error="X"))
    verdict = judge.judge("m", {}, None, 2)
    assert 0.15 <= verdict.delay <= 0.25
    assert isinstance(verdict.rule, Error)


def test_a_bucket_lets_the_burst_through_then_the_rate() -> None:
    clock = Clock()
    judge = faults(FloodBucket(rate=0.5, burst=3, wait_seconds=2), clock=clock)
    assert [outcome(judge) for _ in range(4)] == ["-", "-", "-", "FLOOD_WAIT_2"]
    clock.now += 2
    assert [outcome(judge) for _ in range(2)] == ["-", "FLOOD_WAIT_2"]


def test_a_bucket_punishes_haste() -> None:
    clock = Clock()
    judge = faults(FloodBucket(rate=1, burst=1, wait_seconds=5), clock=clock)
    assert [outcome(judge) for _ in range(4)] == ["-", "FLOOD_WAIT_5", "FLOOD_WAIT_10", "FLOOD_WAIT_15"]
    clock.now += 14
    assert outcome(judge) == "FLOOD_WAIT_6"
    clock.now += 6
    assert outcome(judge) == "-"


def test_a_migrate_error_does_not_strike_where_it_points() -> None:
    judge = faults(Error(error="FILE_MIGRATE_4"))
    assert [outcome(judge, dc_id=dc_id) for dc_id in (2, 4)] == ["FILE_MIGRATE_4", "-"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("FLOOD_WAIT_3", 420),
        ("FLOOD_PREMIUM_WAIT_3", 420),
        ("TAKEOUT_INIT_DELAY_86400", 420),
        ("RPC_CALL_FAIL", 500),
        ("INTERDC_2_CALL_ERROR", 500),
        ("Timedout", -503),
        ("AUTH_KEY_UNREGISTERED", 401),
        ("SESSION_REVOKED", 401),
        ("USER_DEACTIVATED", 401),
        ("AUTH_KEY_DUPLICATED", 406),
        ("USER_MIGRATE_4", 303),
        ("CHANNEL_PRIVATE", 400),
    ],
)
def test_errors_carry_telegrams_codes(error: str, code: int) -> None:
    assert Error(error=error).full_code() == code
    assert Error(error=error, code=406).full_code() == 406


def test_rules_can_be_added_and_cleared() -> None:
    judge = faults()
    judge.add(Error(error="X"))
    assert [rule.kind for rule in judge.rules] == ["error"]
    assert outcome(judge) == "X"
    judge.clear()
    assert outcome(judge) == "-"


def test_a_script_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('{"seed": 4, "rules": [{"kind": "drop", "how": "rst", "method": "messages.getHistory"}]}')
    script = load_script(path)
    assert script.seed == 4
    assert [rule.kind for rule in script.rules] == ["drop"]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ({"rules": [{"kind": "error", "error": "X", "secnds": 3}]}, "rules.0.error.secnds: there is no such key"),
        ({"rulez": []}, "rulez: "),
        ({"rules": [{"kind": "fire"}]}, "rules.0: input tag 'fire'"),
        ({"rules": [{"kind": "error"}]}, "rules.0.error.error: field required"),
        ({"rules": [{"kind": "error", "error": "X", "method": "messages.getHistroy"}]}, "rules.0.method: no simulated"),
        ({"rules": [{"kind": "error", "error": "X", "probability": 2}]}, "rules.0.error.probability: input should be"),
        ([], "the whole: input should be"),
    ],
)
def test_a_bad_script_gets_a_sentence(script: Any, sentence: str) -> None:
    with pytest.raises(SimulatorError) as caught:
        parse_script(json.dumps(script).encode())
    assert sentence in str(caught.value)


def test_a_script_that_cannot_be_read_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="is not JSON"):
        parse_script(b"{")
    with pytest.raises(SimulatorError, match=r"absent\.json cannot be read: No such file"):
        load_script(tmp_path / "absent.json")
