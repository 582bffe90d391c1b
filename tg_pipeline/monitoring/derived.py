"""Metrics that are read where a state is kept, when Prometheus asks: true whichever processes live."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from functools import partial

from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.chats import registered
from tg_pipeline.app.commands import PUBLISHING, REDIS, command_queue
from tg_pipeline.app.freshness import lags
from tg_pipeline.app.login import DEAD_SESSIONS
from tg_pipeline.app.shared_state import state_store
from tg_pipeline.contracts.errors import SessionMissing, StateUnavailable
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.machine.lease import look
from tg_pipeline.monitoring.metrics import Read, Sample
from tg_pipeline.observability import metrics
from tg_pipeline.resilience.overview import overview
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_client import OUTAGE
from tg_pipeline.telegram.sessions import load_sessions

ENDINGS = ("success", "failed", "canceled", "rejected")
"""From zero on: of a counter that begins at 1 Prometheus does not see the first increase."""
_BREAKER_STATES = {"closed": 0, "open": 1, "half_open": 2}


def reads(settings: Settings) -> list[Read]:
    """All of them that need no Dagster. Each raises StateUnavailable or StorageError by itself."""
    of_redis = [partial(of_commands, settings)] if settings.redis else []
    return [partial(of_policy, settings), partial(of_sessions, settings), partial(of_chats, settings), *of_redis]


def of_policy(settings: Settings) -> Iterable[Sample]:
    """Breakers, learned rates and flood waits; of several accounts the slowest and the longest. And who keeps them."""
    with closing(state_store(settings, SystemClock())) as store:
        seen = overview(store, settings.call_policy, {REDIS: PUBLISHING})
        yield metrics.STATE_STORE_DEGRADED, [], store.degraded
    for breaker in seen.breakers:
        yield metrics.BREAKER_STATE, [breaker.component], _BREAKER_STATES[breaker.state]
    rates: dict[str, float] = {}
    waits: defaultdict[str, float] = defaultdict(float)
    for budget in seen.budgets:
        if budget.account != REDIS:
            rates[budget.method] = min(budget.rate, rates.get(budget.method, budget.rate))
            waits[budget.method] = max(waits[budget.method], (budget.blocked_until or seen.now) - seen.now)
    for method, rate in rates.items():
        yield metrics.LEARNED_RATE, [method], rate
        yield metrics.FLOODWAIT_REMAINING, [method], waits[method]


def of_sessions(settings: Settings) -> Iterable[Sample]:
    """How many may be used, are in use, and are refused by Telegram."""
    try:
        found = load_sessions(settings.home / "sessions", settings.session_secrets)
    except SessionMissing:
        found = []
    with closing(state_store(settings, SystemClock())) as store:
        dead = store.hash_get(DEAD_SESSIONS)
    states = Counter({"free": 0, "leased": 0, "dead": 0})
    for session in found:
        held = look(settings.session_leases, session.fingerprint) == "held"
        states["dead" if session.fingerprint in dead else "leased" if held else "free"] += 1
    for state, number in states.items():
        yield metrics.SESSIONS, [state], number


def of_chats(settings: Settings) -> Iterable[Sample]:
    """How far behind each chat of the registry is; without those that were never read."""
    slugs = [chat.slug for chat in registered(settings)]
    with closing(state_store(settings, SystemClock())) as store:
        found = lags(store, open_archive(settings), slugs, store.now())
    for slug, seconds in found.items():
        yield metrics.FETCH_LAG, [slug], seconds


def of_commands(settings: Settings) -> Iterable[Sample]:
    """Commands and events; nothing while Redis is away."""
    try:
        with closing(command_queue(settings)) as queue:
            ended, published = queue.totals()
            counts, oldest = queue.counts(), queue.oldest()
    except StateUnavailable as error:
        OUTAGE.begin(error)
        return
    for status in (*ENDINGS, *(ended.keys() - set(ENDINGS))):
        yield metrics.COMMANDS, [status], ended.get(status, 0)
    for event, number in published.items():
        yield metrics.EVENTS_PUBLISHED, [event], number
    for place, number in counts.items():
        yield metrics.QUEUE_DEPTH, [place], number
    now = time.time()
    yield metrics.UNTAKEN, [], max(0.0, now - (oldest.untaken or now))
    yield metrics.OLDEST_COMMAND, [], max(0.0, *(now - (since or now) for since in oldest))
