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
    Scheduler,
    StateStoreHealth,
    Unread,
)
from tg_pipeline.contracts.text import count

REDIS_GRACE_SECONDS: Final = 30.0
"""For so long the pipeline is ready without its Redis: the home's store serves, and commands wait."""

UNTAKEN_SECONDS: Final = 60.0
"""For so long commands may wait for a reader; it comes every five seconds."""

STALLED_SECONDS: Final = 90.0
"""For so long runs may be queued while none is under way; the watchdog ends a dead one within a minute."""

LONG_SECONDS: Final = 86_400.0
"""An accepted command that has not ended for so long wants a look; the alert CommandsWaiting has the same limit."""

NEEDED: Final = ("storage", "home", "state_store")
_STATES = {"open": "open: nothing is called", "half_open": "half-open: the next call tries whether it answers again"}


@dataclass(frozen=True, slots=True)
class Summary:
    """`not_ready` is a part of `reasons`."""

    status: Overall
    reasons: list[str]
    not_ready: list[str]


def summarize(parts: Mapping[str, Any], *, longest_flood_wait: float) -> Summary:
    """The summary of the parts of `contracts.health.Health`, by their names there.

    Down: nothing would be fetched, for it could not be kept or nobody would start it. Degraded: something is not as
    it should be, or not known. A flood wait is usual; one that is longer than runs sleep (`longest_flood_wait`, in
    seconds) is not. Starting: nothing is wrong, and what fetches has not begun yet; it is not ready.
    """
    unable = list(_not_ready(parts))
    down, starting = [*unable, *_not_scheduled(parts["scheduler"])], list(_starting(parts["scheduler"]))
    reasons = list(dict.fromkeys([*down, *starting, *_degraded(parts, longest_flood_wait)]))
    status: Overall = "down" if down else "starting" if starting else "degraded" if reasons else "ok"
    return Summary(status, reasons, [*unable, *starting])


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


def _starting(scheduler: Any) -> Iterator[str]:
    if scheduler.status == "starting":
        yield f"scheduler: starting: no tick of {scheduler.last_tick_of} since the start {scheduler.age_sec:.0f} s ago."


def _degraded(parts: Mapping[str, Any], longest_flood_wait: float) -> Iterator[str]:
    unread: dict[str, list[str]] = {}
    for name, part in parts.items():
        if isinstance(part, Unread) and name not in NEEDED:
            unread.setdefault(part.reason, []).append(name)
    yield from (f"{', '.join(names)}: {reason}" for reason, names in unread.items())
    yield from _scheduled(parts["scheduler"])
    match parts["redis"]:
        case Redis(status="away", away_sec=float(seconds), reason=reason) if seconds <= REDIS_GRACE_SECONDS:
            yield f"redis: {reason}"
    if parts["state_store"].status == "degraded":
        yield "state_store: the home's SQLite serves in place of Redis; runs of other machines are not heard."
    yield from _commands(parts["queue"])
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


def _scheduled(scheduler: Any) -> Iterator[str]:
    match scheduler:
        case Scheduler(status="stale", last_tick_of=name, age_sec=float(seconds)):
            yield f"scheduler: {name}: the last tick was {seconds:.0f} s ago."
    match scheduler:
        case Scheduler(stalled_sec=seconds, queued_runs=queued) if seconds > STALLED_SECONDS:
            yield f"runs: {count(queued, 'run')} queued, and none has run for {seconds:.0f} s. See Dagster's page Runs."


def _commands(queue: Any) -> Iterator[str]:
    match queue:
        case Queue(untaken_sec=float(seconds), pushed=pushed) if seconds > UNTAKEN_SECONDS:
            yield f"queue: {pushed} commands were not taken for {seconds:.0f} s. Is the sensor `commands` on?"
    match queue:
        case Queue(oldest_age_sec=float(seconds)) if seconds > LONG_SECONDS:
            yield f"queue: a command has not ended for {seconds / 3_600:.0f} h. See `tg-pipeline commands list`."


def _paced(parts: Mapping[str, Any], longest_flood_wait: float) -> Iterator[str]:
    for one in [*_listed(parts["breakers"]), *_listed(parts["flood_waits"])]:
        match one:
            case BreakerHealth(state="open" | "half_open" as state, component=component):
                yield f"breakers: {component} is {_STATES[state]}."
            case FloodWait(seconds_left=seconds, method=method) if seconds > longest_flood_wait:
                yield f"flood_waits: Telegram asks to wait {seconds:.0f} s before the next {method}."


def _listed(part: Any) -> list[Any]:
    return [] if isinstance(part, Unread) else part
