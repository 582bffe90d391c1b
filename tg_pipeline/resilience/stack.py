"""The one stack that every call to Telegram goes through, outermost first: retry -> deadline -> call.

Flood waits are not failures: they are slept, or handed up when too long, and use up neither attempts nor time.
"""

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

FLOOD_JITTER_SECONDS = 3.0
COUNTDOWN_SECONDS = 30.0

T = TypeVar("T")
log = logging.getLogger(__name__)


async def resilient(
    call: Callable[[], Awaitable[T]], *, method: str, policy: CallPolicy, clock: Clock, meter: CallMeter
) -> T:
    """Make `call`, each attempt within the policy's deadline, until it succeeds or the policy gives up.

    Raises the last RetryableError when attempts or time are used up, a FloodWaitError longer than the policy sleeps,
    and everything else at once.
    """
    began, flooded = clock.now(), 0.0

    async def attempt() -> T:
        nonlocal flooded
        while True:
            try:
                return await _within_deadline(call, method, policy.deadline_seconds)
            except FloodWaitError as flood:
                if flood.seconds > policy.flood_wait_max_seconds:
                    raise
                flooded += await _sleep_visibly(flood, clock, meter)

    def used_up(state: RetryCallState) -> bool:
        spent = clock.now() - began - flooded
        return state.attempt_number >= policy.max_attempts or spent >= policy.max_elapsed_seconds

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        meter.retries[type(error).__name__] += 1
        pause = state.next_action.sleep if state.next_action else 0.0
        log.warning("Attempt %d of %s failed: %s Trying again in %.1f s.", state.attempt_number, method, error, pause)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(RetryableError),
        wait=wait_random_exponential(multiplier=policy.backoff_base_seconds, max=policy.backoff_max_seconds),
        stop=used_up,
        sleep=clock.sleep,
        before_sleep=note,
        reraise=True,
    )
    return await retrying(attempt)


async def _within_deadline(call: Callable[[], Awaitable[T]], method: str, seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call()
    except TimeoutError as error:
        raise DeadlineExceeded(f"No answer to {method} within {seconds:g} s.") from error


async def _sleep_visibly(flood: FloodWaitError, clock: Clock, meter: CallMeter) -> float:
    """Sleep as long as Telegram asks and a little longer, so that many do not come back at once; gives the seconds."""
    whole = left = flood.seconds + random.uniform(0, FLOOD_JITTER_SECONDS)  # noqa: S311 - jitter, not cryptography
    meter.waited_seconds += whole
    while left > 0:
        log.warning("%s %.0f s left.", flood, left)
        nap = min(left, COUNTDOWN_SECONDS)
        await clock.sleep(nap)
        left -= nap
    return whole
