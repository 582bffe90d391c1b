"""Policies: small frozen values that say how hard to try. Units are in the names."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How often one account may call one method: a token bucket, of calls a second and calls at once.

    "fixed" keeps to `start_per_second` and `burst`. "adaptive" begins there and learns the rate, between
    `floor_per_second` and `ceiling_per_second`; the burst is learned downwards only.
    """

    strategy: Literal["adaptive", "fixed"] = "adaptive"
    start_per_second: float = 1.0
    floor_per_second: float = 0.05
    ceiling_per_second: float = 30.0
    burst: int = 10

    def cautious(self) -> "RatePolicy":
        """For a process that cannot hear of the others: a quarter of the start rate at most, one call at a time."""
        rate = max(self.start_per_second / 4, self.floor_per_second)
        return replace(self, start_per_second=rate, ceiling_per_second=rate, burst=1)


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to stop calling something that fails.

    `failures` in a row within `window_seconds` open the breaker for `open_seconds`; then up to `probes` calls at once
    may try, among all processes. A probe whose process died is forgotten after `probe_seconds`.
    """

    failures: int = 5
    window_seconds: float = 30.0
    open_seconds: float = 60.0
    probes: int = 1
    probe_seconds: float = 60.0


OUTAGE_RETRIES = 20
"""How often a whole piece of work comes back that met an open circuit breaker: with pauses of a minute, an outage of a
third of an hour is sat out. Each time costs the network one call at most."""

STRICT_METHODS = frozenset({"contacts.resolveUsername", "messages.getDialogs"})
"""What Telegram limits hardest, and punishes by hours (telegram-facts: "Limits and errors")."""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What one call to Telegram may cost.

    `deadline_seconds` bounds one send and its answer. A retryable failure is tried again up to `max_attempts` times
    or `max_elapsed_seconds` in all, waits for floods and for the budget not counted. The pause before it is drawn
    uniformly from 0..min(backoff_max, backoff_base * 2^n) with "full" jitter, and from backoff_base..min(backoff_max,
    3 * the pause before) with "decorrelated". A flood wait of up to `flood_wait_max_seconds` is slept, plus 0-3 s of
    jitter; a longer one is raised.
    """

    deadline_seconds: float = 30.0
    max_attempts: int = 5
    max_elapsed_seconds: float = 120.0
    backoff: Literal["full", "decorrelated"] = "full"
    backoff_base_seconds: float = 0.5
    backoff_max_seconds: float = 10.0
    flood_wait_max_seconds: int = 300
    breaker: BreakerPolicy = BreakerPolicy()
    rate: RatePolicy = RatePolicy()
    strict_rate: RatePolicy = RatePolicy("fixed", start_per_second=0.1, burst=10)

    def rate_of(self, method: str) -> RatePolicy:
        """How often that method may be called."""
        return self.strict_rate if method in STRICT_METHODS else self.rate


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How a range of days is read.

    `pages_in_flight` bounds the getHistory calls under way at once on the one connection. `page_rereads` is how often
    a page that repeats or reorders ids is read again before the fetch fails.
    """

    pages_in_flight: int = 2
    page_rereads: int = 3
