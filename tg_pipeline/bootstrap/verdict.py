"""What follows from the parts of the pipeline's health: whether it is well, whether it can work, and why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tg_pipeline.contracts.health import (
    BreakerHealth,
    FloodWait,
    Overall,
    Place,
    Queue,
    Redis,
    StateStoreHealth,
    Unread,
)

REDIS_GRACE_SECONDS: Final = 30.0
"""For so long the pipeline is ready without its Redis: the home's store serves, and commands wait."""

UNTAKEN_SECONDS: Final = 60.0
"""For so long commands may wait for a reader; it comes every five seconds."""

NEEDED: Final = ("storage", "home", "state_store")
_STATES = {"open": "open: nothing is called", "half_open": "half-open: the next call tries whether it answers again"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`not_ready` is a part of `reasons`."""

    status: Overall
    reasons: list[str]
    not_ready: list[str]


def judge(parts: Mapping[str, Any], *, longest_flood_wait: float) -> Verdict:
    """The verdict over the parts of `contracts.health.Health`, by their names there.

    Down: nothing would be fetched, for it could not be kept or nobody would start it. Degraded: something is not as
    it should be, or not known. A flood wait is usual; one that is longer than runs sleep (`longest_flood_wait`, in
    seconds) is not.
    """
    not_ready = list(_not_ready(parts))
    down = [*not_ready, *_not_scheduled(parts["scheduler"])]
    reasons = list(dict.fromkeys([*down, *_degraded(parts, longest_flood_wait)]))
    return Verdict("down" if down else "degraded" if reasons else "ok", reasons, not_ready)


def _not_ready(parts: Mapping[str, Any]) -> Iterator[str]:
    for name in NEEDED:
        match parts[name]:
            case Place(writable=False, reason=reason) | StateStoreHealth(writable=False, reason=reason):
                yield f"{name}: {reason}"
            case Unread(reason=reason):
                yield f"{name}: {reason}"
    match parts["redis"]:
        case Redis(status="away", away_sec=float(seconds), reason=reason) if seconds > REDIS_GRACE_SECONDS:
            yield f"redis: {reason} That is so for {seconds:.0f} s."


def _not_scheduled(scheduler: Any) -> Iterator[str]:
    if scheduler.status == "down":
        age = scheduler.age_sec
        ago = "there was no tick" if age is None else f"the last tick was {age:.0f} s ago"
        yield f"scheduler: {scheduler.last_tick_of}: {ago}. Does tg-pipeline up run?"


def _degraded(parts: Mapping[str, Any], longest_flood_wait: float) -> Iterator[str]:
    unread: dict[str, list[str]] = {}
    for name, part in parts.items():
        if isinstance(part, Unread) and name not in NEEDED:
            unread.setdefault(part.reason, []).append(name)
    yield from (f"{', '.join(names)}: {reason}" for reason, names in unread.items())
    if parts["scheduler"].status == "stale":
        yield f"scheduler: {parts['scheduler'].last_tick_of}: the last tick was {parts['scheduler'].age_sec:.0f} s ago."
    match parts["redis"]:
        case Redis(status="away", away_sec=float(seconds), reason=reason) if seconds <= REDIS_GRACE_SECONDS:
            yield f"redis: {reason}"
    if parts["state_store"].status == "degraded":
        yield "state_store: the home's SQLite serves in place of Redis; runs of other machines are not heard."
    match parts["queue"]:
        case Queue(untaken_sec=float(seconds), pushed=pushed) if seconds > UNTAKEN_SECONDS:
            yield f"queue: {pushed} commands were not taken for {seconds:.0f} s. Is the sensor `commands` on?"
    if parts["sessions"].status == "none":
        yield f"sessions: {parts['sessions'].reason}"
    for session in getattr(parts["sessions"], "sessions", ()):
        if session.status == "dead":
            yield f"sessions: Telegram refused {session.name} the last time it was used. Run `tg-pipeline login`."
    yield from _disabled(parts["chats"])
    yield from _paced(parts, longest_flood_wait)


def _disabled(chats: Any) -> Iterator[str]:
    for name, reason in getattr(chats, "disabled", {}).items():
        yield f"chats: {name} is disabled: {reason}"


def _paced(parts: Mapping[str, Any], longest_flood_wait: float) -> Iterator[str]:
    for one in [*_listed(parts["breakers"]), *_listed(parts["flood_waits"])]:
        match one:
            case BreakerHealth(state="open" | "half_open" as state, component=component):
                yield f"breakers: {component} is {_STATES[state]}."
            case FloodWait(seconds_left=seconds, method=method) if seconds > longest_flood_wait:
                yield f"flood_waits: Telegram asks to wait {seconds:.0f} s before the next {method}."


def _listed(part: Any) -> list[Any]:
    return [] if isinstance(part, Unread) else part
