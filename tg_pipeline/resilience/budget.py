"""The calls that one account may make of one method: a token bucket whose rate is learned from flood waits.

Pure functions over a small value. The value is read, changed and written back with compare-and-set by all who share
the account, so that all its processes draw on one bucket. docs/rate.md explains the rule and its constants.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Final

import orjson
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from tg_pipeline.contracts.policy import RatePolicy

STALE_SECONDS: Final = 86_400.0
LONGEST_FLOOD_SECONDS: Final = 2.0**31  # Telegram's number is one of 32 bits
LEAST_WAIT_SECONDS: Final = 0.001  # a rounding error short of a token would be asked for again at the same instant
LIMITED_TOKENS: Final = 2.0
SLOW_START_CALLS: Final = 8
SLOW_START_GROWTH: Final = 2.0
GROWTH: Final = 1.05
SEARCH_CALLS: Final = 15
PROBE_CALLS: Final = 200
PROBE_WAITS: Final = 30
JITTER_SECONDS: Final = 1.5
SAMPLE_CALLS: Final = 30
MARGIN: Final = 0.97
EASE: Final = 0.9
HALVE: Final = 0.5

NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Budget:
    """One account's budget for one method. Times are seconds of the clock that its processes share.

    `tokens` are those of `as_of`; a flood wait of `waited` seconds ends at `blocked_until`. The rest is what learning
    goes by. `goal`: the rate up to which growth is quick, None before the first flood. `limited`: how many calls the
    rate has held up since it last changed. `run` of them came without a pause since `run_began`, which was a pause
    itself if `paused`. `grown`: by what factor the rate has grown since the last flood at its last step. `sample_calls`
    and `sample_seconds`: the run that ended in the last flood, if it was long enough to say something.
    """

    rate: NonNegative
    burst: Annotated[int, Field(ge=1)]
    tokens: NonNegative
    as_of: FiniteFloat
    run_began: FiniteFloat
    blocked_until: FiniteFloat | None = None
    flood_reason: str = ""
    waited: NonNegative = 0.0
    goal: NonNegative | None = None
    limited: Count = 0
    run: Count = 0
    paused: bool = True
    grown: Annotated[FiniteFloat, Field(ge=1)] = 1.0
    sample_calls: Count = 0
    sample_seconds: NonNegative = 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in `seconds`. `reason`: "rate" for want of a token, else the kind of flood wait."""

    seconds: float
    reason: str


_BUDGET = TypeAdapter(Budget)


def parse(value: bytes | None, policy: RatePolicy, now: float) -> Budget:
    """The budget that `dump` wrote, within the policy's bounds; a new one where there is none that can be read.

    A rate above the start that has not been used for a day is forgotten. A clock that was set back takes the times
    with it.
    """
    new = Budget(policy.start_per_second, policy.burst, float(policy.burst), now, now)
    if value is None:
        return new
    try:
        found = _BUDGET.validate_json(value, strict=True)
    except ValidationError:
        return new
    back = found.as_of - now
    if back > 0:
        until = None if found.blocked_until is None else found.blocked_until - back
        found = replace(found, as_of=now, run_began=found.run_began - back, blocked_until=until)
    if found.blocked_until is not None and found.blocked_until > now + LONGEST_FLOOD_SECONDS:
        return new
    if policy.strategy == "fixed":
        rate, burst = policy.start_per_second, policy.burst
    elif now - found.as_of > STALE_SECONDS and found.rate > policy.start_per_second:
        return replace(new, blocked_until=found.blocked_until, flood_reason=found.flood_reason)
    else:
        rate, burst = _bounded(found.rate, policy), min(found.burst, policy.burst)
    return replace(found, rate=rate, burst=burst, tokens=min(found.tokens, burst))


def dump(budget: Budget) -> bytes:
    """The budget as JSON."""
    return orjson.dumps(budget)


def admit(budget: Budget, policy: RatePolicy, now: float) -> tuple[Budget, Wait | None]:
    """Let one call go and pay its token, or say how long to wait before asking again.

    Nothing is reserved for who has to wait, so that nothing is lost with one who never comes back.
    """
    tokens = budget.tokens + max(0.0, now - budget.as_of) * budget.rate
    resumed = budget.blocked_until is not None and budget.as_of < budget.blocked_until
    if budget.blocked_until is not None and resumed:
        if now < budget.blocked_until:
            return budget, Wait(budget.blocked_until - now, budget.flood_reason)
        # Who slept a little longer than asked has not saved up for a burst.
        tokens = min((now - budget.blocked_until) * budget.rate, 1.0)
    if tokens < 1:
        return budget, Wait(max((1 - tokens) / budget.rate, LEAST_WAIT_SECONDS), "rate")
    paid = replace(budget, tokens=min(tokens, budget.burst) - 1, as_of=max(budget.as_of, now))
    if policy.strategy == "fixed":
        return paid, None
    if resumed:
        return replace(paid, limited=1, run=1, run_began=now, paused=False), None
    limited = budget.limited + (tokens < LIMITED_TOKENS)
    if tokens >= max(budget.burst, LIMITED_TOKENS):
        return replace(paid, run=1, run_began=now, paused=True), None
    return _grown(replace(paid, limited=limited, run=budget.run + 1), policy, now), None


def flooded(budget: Budget, policy: RatePolicy, now: float, *, seconds: float, reason: str) -> Budget:
    """Telegram asks to wait `seconds`. Answers to calls that were under way when it first did teach nothing new."""
    known = budget.blocked_until is not None and now < budget.blocked_until
    until = max(now + seconds, budget.blocked_until or now)
    if not known and policy.strategy == "adaptive":
        budget = _lowered(budget, policy, now)
    return replace(
        budget, tokens=0.0, as_of=max(budget.as_of, now), blocked_until=until, flood_reason=reason, waited=until - now
    )


def _lowered(budget: Budget, policy: RatePolicy, now: float) -> Budget:
    if budget.paused and budget.run <= budget.burst and budget.burst > 1:
        return replace(budget, burst=budget.burst // 2)
    seconds = max(0.0, now - budget.run_began)
    sampled = budget.run >= SAMPLE_CALLS
    if budget.grown > 1:
        kept = max(1 / budget.grown, EASE if sampled else HALVE)
    elif sampled:
        kept = _measured(budget, seconds)
    else:
        kept = HALVE
    rate = _bounded(budget.rate * kept, policy)
    return replace(
        budget,
        rate=rate,
        goal=rate if sampled else budget.rate / GROWTH,
        grown=1.0,
        sample_calls=budget.run if sampled else 0,
        sample_seconds=seconds,
    )


def _measured(budget: Budget, seconds: float) -> float:
    """How much of the rate stays after two runs that ended in a flood.

    Telegram's burst is in both: what the longer one had more, in so many more seconds, is the rate that it allows.
    """
    calls, longer = budget.run - budget.sample_calls, seconds - budget.sample_seconds
    if not budget.sample_calls or calls <= 0 or longer <= 0:
        return EASE
    return min(max(MARGIN * calls / longer / budget.rate, HALVE), EASE)


def _grown(budget: Budget, policy: RatePolicy, now: float) -> Budget:
    """A step up if the rate has held up enough calls: after a flood so few steps that floods cost 1/30 of the time."""
    growth = GROWTH
    if budget.goal is None:
        needed, growth = float(SLOW_START_CALLS), SLOW_START_GROWTH
    elif budget.rate * GROWTH <= budget.goal:
        needed = SEARCH_CALLS
    else:
        needed = max(PROBE_CALLS, PROBE_WAITS * (budget.waited + JITTER_SECONDS) * budget.rate)
    rate = _bounded(budget.rate * growth, policy)
    if budget.limited < needed or rate <= budget.rate:
        return budget
    return replace(budget, rate=rate, grown=growth, limited=0, run=0, run_began=now, paused=False)


def _bounded(rate: float, policy: RatePolicy) -> float:
    return min(max(rate, policy.floor_per_second), policy.ceiling_per_second)
