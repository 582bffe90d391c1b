"""The circuit breaker as pure functions: closed -> open -> half-open -> closed or open again.

Many processes share one breaker. Each reads it, decides here, and writes it back with compare-and-set; so nothing in
this module knows of stores, clocks or waiting. Times are POSIX seconds of the clock that the processes share.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import orjson

from tg_pipeline.contracts.policy import BreakerPolicy

State = Literal["closed", "open", "half_open"]

TRANSITIONS_KEPT = 20
CAUSE_KEPT = 300
"""Characters."""

_STATES = frozenset(get_args(State))


@dataclass(frozen=True, slots=True)
class Breaker:
    """What processes know of a component's health. `failures` are the times of those since the last success.

    `open_until` is 0 while the breaker is closed. `probes` are the calls that try whether it may be closed again: who
    makes one, and when it is given up. `transitions` are the last ones: when, and to which state. `cause` is what the
    failure said that opened it last.
    """

    failures: tuple[float, ...] = ()
    open_until: float = 0.0
    probes: tuple[tuple[str, float], ...] = ()
    transitions: tuple[tuple[float, State], ...] = ()
    cause: str = ""

    @property
    def state(self) -> State:
        """The state last entered."""
        return self.transitions[-1][1] if self.transitions else "closed"


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing may be called for another `seconds`, because of `cause`."""

    seconds: float
    cause: str = ""


@dataclass(frozen=True, slots=True)
class ProbeUnderWay:
    """Others are trying: what they find decides."""


def parse(value: bytes | None, policy: BreakerPolicy, now: float) -> Breaker:
    """The breaker as dumped; a closed one where there is none, or none that makes sense."""
    try:
        raw: dict[str, Any] = orjson.loads(value or b"{}")
        breaker = Breaker(
            failures=tuple(float(moment) for moment in raw.get("failures", ())),
            open_until=min(float(raw.get("open_until", 0.0)), now + policy.open_seconds),
            probes=tuple((str(who), float(until)) for who, until in raw.get("probes", ())),
            transitions=tuple((float(moment), _state(to)) for moment, to in raw.get("transitions", ())),
            cause=str(raw.get("cause", ""))[:CAUSE_KEPT],
        )
    except (ValueError, TypeError, AttributeError):
        return Breaker()
    return breaker if (breaker.open_until > 0) == (breaker.state != "closed") else Breaker()


def dump(breaker: Breaker) -> bytes:
    """As JSON."""
    return orjson.dumps(
        {
            "failures": breaker.failures,
            "open_until": breaker.open_until,
            "probes": breaker.probes,
            "transitions": breaker.transitions,
            "cause": breaker.cause,
        }
    )


def admit(breaker: Breaker, policy: BreakerPolicy, now: float, who: str) -> tuple[Breaker, Open | ProbeUnderWay | None]:
    """Whether `who` may call now; None for yes. In half-open that makes the call a probe."""
    if breaker.state == "closed":
        return breaker, None
    if now < breaker.open_until:
        return breaker, Open(breaker.open_until - now, breaker.cause)
    probes = tuple((probe, until) for probe, until in breaker.probes if now < until <= now + policy.probe_seconds)
    if len(probes) >= policy.probes:
        return breaker, ProbeUnderWay()
    probing = replace(breaker, probes=(*probes, (who, now + policy.probe_seconds)))
    return (probing if breaker.state == "half_open" else _moved(probing, "half_open", now)), None


def succeeded(breaker: Breaker, now: float, who: str) -> Breaker:
    """After an answer, whatever it said. A call that began before the breaker opened proves nothing about it now."""
    if breaker.state == "closed":
        return replace(breaker, failures=()) if breaker.failures else breaker
    if not _is_probe(breaker, who):
        return breaker
    return _moved(replace(breaker, failures=(), open_until=0.0, probes=()), "closed", now)


def failed(breaker: Breaker, policy: BreakerPolicy, now: float, who: str, cause: str = "") -> Breaker:
    """After no answer, or a server's own error; `cause` says which."""
    if breaker.state == "closed":
        recent = (*(moment for moment in breaker.failures if 0 <= now - moment < policy.window_seconds), now)
        if len(recent) < policy.failures:
            return replace(breaker, failures=recent)
    elif not _is_probe(breaker, who):
        return breaker
    opened = replace(breaker, failures=(), open_until=now + policy.open_seconds, probes=(), cause=cause[:CAUSE_KEPT])
    return _moved(opened, "open", now)


def released(breaker: Breaker, who: str) -> Breaker:
    """After a call that was given up before it showed anything: its place as a probe is free."""
    if not _is_probe(breaker, who):
        return breaker
    return replace(breaker, probes=tuple(probe for probe in breaker.probes if probe[0] != who))


def _is_probe(breaker: Breaker, who: str) -> bool:
    return any(probe == who for probe, _ in breaker.probes)


def _moved(breaker: Breaker, to: State, now: float) -> Breaker:
    return replace(breaker, transitions=(*breaker.transitions, (now, to))[-TRANSITIONS_KEPT:])


def _state(text: Any) -> State:
    if text not in _STATES:
        raise ValueError(text)
    return cast("State", text)
