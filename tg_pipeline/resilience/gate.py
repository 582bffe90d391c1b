"""The gate before every call: the circuit breaker, then the rate budget, agreed on by all processes of an account.

Both are values in the shared state store. A call is let through, and pays, in one compare-and-set over the two: one
round trip in the steady state, and either both let it pass or nothing is written. All waiting for tokens and floods
happens here, so a process that comes while another has to wait waits as well. Nothing is reserved meanwhile: who
waits asks again afterwards, and who is killed leaves nothing behind.
"""

import contextlib
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from uuid import uuid4

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import (
    CircuitOpen,
    FloodWaitError,
    RetryableError,
    StateUnavailable,
    TgPipelineError,
)
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import CallPolicy, RatePolicy
from tg_pipeline.contracts.state import Change, StateStore
from tg_pipeline.observability import metrics
from tg_pipeline.resilience import breaker as breakers
from tg_pipeline.resilience import budget as budgets
from tg_pipeline.resilience.breaker import Breaker, Open, ProbeUnderWay
from tg_pipeline.resilience.budget import Wait

FLOOD_JITTER_SECONDS = 3.0
COUNTDOWN_SECONDS = 30.0
PROBE_POLL_SECONDS = 0.25
TTL_SECONDS = 7 * 86_400.0
TELEGRAM = "telegram"
BREAKERS, BUDGETS = "breaker:", "budget:"
"""How the keys begin."""


log = logging.getLogger(__name__)


class Gate:
    """The breaker of `component` and the budgets of `account`, as one process sees them."""

    def __init__(
        self,
        store: StateStore,
        account: str,
        *,
        policy: CallPolicy,
        clock: Clock,
        meter: CallMeter,
        component: str = TELEGRAM,
    ) -> None:
        self._store = store
        self._component = component
        self.account = account
        self._policy = policy
        self._clock = clock
        self._meter = meter
        self._breaker_key = f"{BREAKERS}{component}"
        self._seen: dict[str, bytes | None] = {}
        self._slept = 0.0

    def metered(self, meter: CallMeter) -> "Gate":
        """The same gate, whose waits and floods are counted by another meter."""
        same = copy(self)
        same._meter, same._slept = meter, 0.0  # noqa: SLF001 - of its own class
        return same

    @asynccontextmanager
    async def passage(self, method: str) -> AsyncIterator[float]:
        """Wait until the call may be made, let it be made in the block, and learn from how that ends.

        Gives the seconds waited. Raises CircuitOpen, and FloodWaitError where the wait is longer than the policy
        sleeps, both without a call; StateUnavailable.
        """
        who = uuid4().hex
        waited = await self._admitted(method, who)
        try:
            yield waited
        except FloodWaitError as flood:
            self._flooded(flood, method)
            self._change_breaker(lambda breaker, now: breakers.succeeded(breaker, now, who))
            raise
        except RetryableError as error:
            cause = str(error)
            self._change_breaker(lambda breaker, now: breakers.failed(breaker, self._policy.breaker, now, who, cause))
            raise
        except TgPipelineError:
            self._change_breaker(lambda breaker, now: breakers.succeeded(breaker, now, who))
            raise
        except BaseException:
            with contextlib.suppress(StateUnavailable):
                self._change_breaker(lambda breaker, _: breakers.released(breaker, who))
            raise
        self._change_breaker(lambda breaker, now: breakers.succeeded(breaker, now, who))

    async def _admitted(self, method: str, who: str) -> float:
        began = self._clock.steady()
        while (verdict := self._ask(method, who)) is not None:
            match verdict:
                case Open(seconds, cause):
                    raise CircuitOpen(self._component, seconds, cause)
                case ProbeUnderWay():
                    await self._clock.sleep(PROBE_POLL_SECONDS)
                case Wait(seconds, "rate"):
                    with self._waiting("rate"):
                        await self._clock.sleep(seconds)
                case Wait(seconds, reason):
                    if seconds > self._policy.flood_wait_max_seconds:
                        raise FloodWaitError(math.ceil(seconds), method, reason)
                    with self._waiting(reason):
                        await self._sit_out(seconds, method, reason)
        return self._clock.steady() - began

    @contextmanager
    def _waiting(self, reason: str) -> Iterator[None]:
        try:
            with self._meter.waiting(reason, self._clock.steady):
                yield
        finally:
            slept = self._meter.slept_for_floods
            metrics.FLOODWAIT_SLEPT.inc(slept - self._slept)
            self._slept = slept

    def _ask(self, method: str, who: str) -> Open | ProbeUnderWay | Wait | None:
        """Whether the call may be made now, from what was seen last; a refusal is looked at twice, as it may be old."""
        budget_key = self._budget_key(method)
        keys = (self._breaker_key, budget_key)
        seen, fresh = {key: self._seen.get(key) for key in keys}, False
        while True:
            now, rate = self._store.now(), self._rate(method)
            was = breakers.parse(seen[self._breaker_key], self._policy.breaker, now)
            breaker, refusal = breakers.admit(was, self._policy.breaker, now, who)
            budget, wait = budgets.admit(budgets.parse(seen[budget_key], rate, now), rate, now)
            if refusal or wait:
                if fresh:
                    return refusal or wait
                seen, fresh = dict(self._store.read(*keys)), True
                self._seen.update(seen)
                continue
            known = seen[self._breaker_key]
            outcome = self._store.compare_and_set(
                {
                    self._breaker_key: Change(known, known if breaker is was else breakers.dump(breaker), TTL_SECONDS),
                    budget_key: Change(seen[budget_key], budgets.dump(budget), TTL_SECONDS),
                }
            )
            seen, fresh = dict(outcome.values), True
            self._seen.update(seen)
            if outcome.done:
                self._note(was, breaker)
                return None

    def _budget_key(self, method: str) -> str:
        return f"{BUDGETS}{self.account}:{method}"

    def _rate(self, method: str) -> RatePolicy:
        rate = self._policy.rate_of(method)
        return rate.cautious() if self._store.degraded else rate

    def _flooded(self, flood: FloodWaitError, method: str) -> None:
        """Let everybody wait who would make the same call, and let the budget learn from it."""
        metrics.RATE_LIMIT_HITS.labels(method, flood.reason).inc()
        self._meter.floods[method] += 1
        metrics.FLOODWAIT_ASKED.inc(self._meter.asked(method, flood.seconds, self._clock.steady()))
        key, rate = self._budget_key(method), self._rate(method)
        value = self._seen.get(key)
        while True:
            now = self._store.now()
            budget = budgets.flooded(
                budgets.parse(value, rate, now), rate, now, seconds=flood.seconds, reason=flood.reason
            )
            outcome = self._store.compare_and_set({key: Change(value, budgets.dump(budget), TTL_SECONDS, keep=True)})
            value = self._seen[key] = outcome.values[key]
            if outcome.done:
                return

    def _change_breaker(self, change: Callable[[Breaker, float], Breaker]) -> None:
        key = self._breaker_key
        value = self._seen.get(key)
        while True:
            now = self._store.now()
            was = breakers.parse(value, self._policy.breaker, now)
            breaker = change(was, now)
            if breaker is was:
                return
            outcome = self._store.compare_and_set({key: Change(value, breakers.dump(breaker), TTL_SECONDS)})
            value = self._seen[key] = outcome.values[key]
            if outcome.done:
                self._note(was, breaker)
                return

    def _note(self, was: Breaker, breaker: Breaker) -> None:
        if was.state == breaker.state:
            return
        if breaker.state == "open":
            metrics.BREAKER_OPENED.labels(self._component).inc()
        log.warning(
            "The circuit breaker of %s goes from %s to %s%s.",
            self._component,
            was.state.replace("_", "-"),
            breaker.state.replace("_", "-"),
            f" for {self._policy.breaker.open_seconds:g} s" if breaker.state == "open" else "",
        )

    async def _sit_out(self, seconds: float, method: str, reason: str) -> None:
        """Sleep as long as Telegram asks and a little longer, so that many do not come back at once."""
        left = seconds + random.uniform(0, FLOOD_JITTER_SECONDS)  # noqa: S311 - jitter, not cryptography
        log.warning(
            "Telegram asks to wait %d s before the next %s (%s wait). Sleeping %d s.",
            *(math.ceil(seconds), method, reason, math.ceil(left)),
        )
        while left > COUNTDOWN_SECONDS:
            await self._clock.sleep(COUNTDOWN_SECONDS)
            left -= COUNTDOWN_SECONDS
            log.warning("%d s left until the next %s (%s wait).", math.ceil(left), method, reason)
        await self._clock.sleep(left)
