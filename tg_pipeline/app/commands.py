"""Commands and events, on the Redis that the settings name."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace

from tg_pipeline.app.shared_state import state_store
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.bus.reporter import Reporter
from tg_pipeline.contracts.errors import NetworkError, SettingsError, StateUnavailable
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import CallPolicy, RatePolicy
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.resilience.gate import Gate
from tg_pipeline.resilience.stack import resilient
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_client import OUTAGE

REDIS = "redis"
PUBLISHING = CallPolicy(
    deadline_seconds=5.0,
    max_attempts=3,
    max_elapsed_seconds=10.0,
    backoff_base_seconds=0.2,
    backoff_max_seconds=2.0,
    rate=RatePolicy("fixed", start_per_second=1_000.0, burst=1_000),
)


def command_queue(settings: Settings) -> CommandQueue:
    """The queue. SettingsError where no Redis is set."""
    if settings.redis is None:
        raise SettingsError(
            "REDIS_URL is not set. Commands and events need a Redis, such as redis://localhost:6379/0.",
            field="REDIS_URL",
        )
    return CommandQueue(settings.redis, ttl_seconds=settings.idempotency_ttl)


def reporter(settings: Settings) -> Reporter:
    """The reporter of this process's run, through the stack that every call goes through: retry, breaker, budget."""
    policy, clock, meter = PUBLISHING, SystemClock(), CallMeter()
    held = ExitStack()
    queue = held.enter_context(closing(command_queue(settings)))
    store = held.enter_context(closing(state_store(settings, clock)))
    gate = Gate(store, REDIS, policy=policy, clock=clock, meter=meter, component=REDIS)

    def guarded(call: Callable[[], object]) -> None:
        async def attempt() -> None:
            try:
                call()
            except StateUnavailable as error:
                OUTAGE.begin(error)
                raise NetworkError(str(error)) from error

        # The reporter tries again by itself: in an outage, more attempts would only be more log lines.
        patience = replace(policy, max_attempts=1) if OUTAGE.is_known else policy
        asyncio.run(resilient(attempt, method="publish", policy=patience, gate=gate, clock=clock, meter=meter))

    return Reporter(queue, guarded, held.close)
