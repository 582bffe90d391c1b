"""The calls that one account may make of one method: a token bucket whose rate is learned from flood waits.

Pure functions over a small value. The value is read, changed and written back with compare-and-set by whoever shares
the account, so that all its processes draw on one bucket. docs/rate.md explains the rule and its constants.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Final

import orjson
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from tg_pipeline.contracts.policy import RatePolicy

STALE_SECONDS: Final = 86_400.0
LEAST_WAIT_SECONDS: Final = 0.001  # a rounding error short of a token would be asked for again at the same instant
LIMITED_TOKENS: Final = 2.0
SLOW_START_CALLS: Final = 8
SLOW_START_GROWTH: Final = 2.0
GROWTH: Final = 1.1
GROWTH_CALLS: Final = 200
GROWTH_WAITS: Final = 30
JITTER_SECONDS: Final = 1.5
PROOF_CALLS: Final = 50
PROOF_SHARE: Final = 0.97
DECREASE: Final = 0.5
DECREASE_LEAST: Final = 0.95

NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Budget:
    """One account's budget for one method. Times are seconds of the clock that its processes share.

    `tokens` are those of `as_of`; none come in before `blocked_until`, when Telegram's last flood wait ends. `calls`
    were admitted since the flood at `flooded_at`, or since the beginning; `limited` of them since the rate last grew
    had to wait for their token.
    """

    rate: NonNegative
    burst: Annotated[int, Field(ge=1)]
    tokens: NonNegative
    as_of: FiniteFloat
    blocked_until: FiniteFloat | None = None
    flood_reason: str = ""
    flooded_at: FiniteFloat | None = None
    waited: NonNegative = 0.0
    calls: Count = 0
    limited: Count = 0


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
    new = Budget(policy.start_per_second, policy.burst, float(policy.burst), now)
    if value is None:
        return new
    try:
        found = _BUDGET.validate_json(value, strict=True)
    except ValidationError:
        return new
    back = found.as_of - now
    if back > 0:
        found = replace(
            found,
            as_of=now,
            blocked_until=None if found.blocked_until is None else found.blocked_until - back,
            flooded_at=None if found.flooded_at is None else found.flooded_at - back,
        )
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
    since = budget.as_of
    if budget.blocked_until is not None:
        if now < budget.blocked_until:
            return budget, Wait(budget.blocked_until - now, budget.flood_reason)
        since = max(since, budget.blocked_until)
    tokens = budget.tokens + max(0.0, now - since) * budget.rate
    if tokens < 1:
        return budget, Wait(max((1 - tokens) / budget.rate, LEAST_WAIT_SECONDS), "rate")
    paid = replace(
        budget,
        tokens=min(tokens, budget.burst) - 1,
        as_of=max(budget.as_of, now),
        calls=budget.calls + 1,
        limited=budget.limited + (tokens < LIMITED_TOKENS),
    )
    return (_grown(paid, policy) if policy.strategy == "adaptive" else paid), None


def flooded(budget: Budget, policy: RatePolicy, now: float, *, seconds: float, reason: str) -> Budget:
    """Telegram asks to wait `seconds`. Answers to calls that were under way when it first did teach nothing new."""
    blocked = budget.blocked_until
    until = now + seconds
    known = blocked is not None and now < blocked
    waiting = replace(
        budget,
        tokens=0.0,
        as_of=max(budget.as_of, now),
        blocked_until=until if blocked is None else max(blocked, until),
        flood_reason=reason,
    )
    if known or policy.strategy == "fixed":
        return waiting
    rate = _bounded(budget.rate * _decrease(budget, now), policy)
    return replace(waiting, rate=rate, flooded_at=now, waited=seconds, calls=0, limited=0)


def _decrease(budget: Budget, now: float) -> float:
    """How much of the rate stays: what Telegram has proved to allow since it last ran dry, if that is known."""
    if budget.flooded_at is None or budget.calls < PROOF_CALLS or now <= budget.flooded_at:
        return DECREASE
    proved = budget.calls / (now - budget.flooded_at)
    return min(max(PROOF_SHARE * proved / budget.rate, DECREASE), DECREASE_LEAST)


def _grown(budget: Budget, policy: RatePolicy) -> Budget:
    if budget.flooded_at is None:
        needed, growth = float(SLOW_START_CALLS), SLOW_START_GROWTH
    else:
        pause = GROWTH_WAITS * (budget.waited + JITTER_SECONDS)
        needed, growth = max(GROWTH_CALLS, pause * budget.rate), GROWTH
    if budget.limited < needed:
        return budget
    return replace(budget, rate=_bounded(budget.rate * growth, policy), limited=0)


def _bounded(rate: float, policy: RatePolicy) -> float:
    return min(max(rate, policy.floor_per_second), policy.ceiling_per_second)
