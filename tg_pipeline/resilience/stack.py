"""The one stack that every call to Telegram goes through, outermost first:

    retry -> breaker -> budget -> deadline -> call

Every attempt is let through by the breaker, paid from the budget and counted by both. Flood waits are not failures:
they are sat out in front of the budget, or handed up when too long, and use up neither attempts nor time.
"""  # noqa: D415 - ends in the picture

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import DeadlineExceeded, FloodWaitError, RetryableError
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import CallPolicy
from tg_pipeline.observability import metrics
from tg_pipeline.observability.traces import span
from tg_pipeline.resilience.gate import Gate

T = TypeVar("T")
log = logging.getLogger(__name__)


async def resilient(
    call: Callable[[], Awaitable[T]], *, method: str, policy: CallPolicy, gate: Gate, clock: Clock, meter: CallMeter
) -> T:
    """Make `call`, each attempt within the policy's deadline, until it succeeds or the policy gives up.

    Raises the last RetryableError when attempts or time are used up, CircuitOpen while the breaker is open, a
    FloodWaitError longer than the policy sleeps, and everything else at once.
    """
    began, waited = clock.steady(), 0.0

    async def attempt() -> T:
        nonlocal waited
        while True:
            try:
                async with gate.passage(method) as wait:
                    waited += wait
                    with span(method, {"rpc.method": method, "tg.waited_seconds": wait}):
                        return await _within_deadline(call, method, policy.deadline_seconds)
            except FloodWaitError as flood:
                if flood.seconds > policy.flood_wait_max_seconds:
                    raise

    def used_up(state: RetryCallState) -> bool:
        spent = clock.steady() - began - waited
        return state.attempt_number >= policy.max_attempts or spent >= policy.max_elapsed_seconds

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        reason, pause = type(error).__name__, state.next_action.sleep if state.next_action else 0.0
        meter.retries[reason] += 1
        metrics.RETRIES.labels(method, reason).inc()
        metrics.LAST_RETRY_DELAY.labels(method).set(pause)
        log.warning(
            "Attempt %d of %s failed: %s Trying again in %.1f s.",
            *(state.attempt_number, method, error, pause),
            extra={"error_type": reason},
        )

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(RetryableError),
        wait=_pauses(policy),
        stop=used_up,
        sleep=clock.sleep,
        before_sleep=note,
        reraise=True,
    )
    return await retrying(attempt)


def _pauses(policy: CallPolicy) -> Callable[[RetryCallState], float]:
    """How long to wait before the next attempt.

    Both strategies are from "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
    """
    base, longest = policy.backoff_base_seconds, policy.backoff_max_seconds
    if policy.backoff == "full":
        return wait_random_exponential(multiplier=base, max=longest)
    pause = base

    def decorrelated(_: RetryCallState) -> float:
        nonlocal pause
        pause = min(longest, random.uniform(base, 3 * pause))  # noqa: S311 - jitter, not cryptography
        return pause

    return decorrelated


async def _within_deadline(call: Callable[[], Awaitable[T]], method: str, seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call()
    except TimeoutError as error:
        raise DeadlineExceeded(f"No answer to {method} within {seconds:g} s.") from error
