"""How the pipeline is, as the service and `tg-pipeline status` show it. docs/health.md explains the fields.

Nothing in it is a secret. Times are texts as in events: `2025-01-31T23:59:59.123Z`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

Overall = Literal["ok", "degraded", "starting", "down"]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When something that must run for the pipeline to work was heard of last (POSIX s); None for never.

    `interval_seconds` is the longest time from one to the next that is usual. Where `is_starting`, nothing was heard of
    it since the pipeline was started, which was at `at`.
    """

    name: str
    at: float | None
    owner: str | None
    interval_seconds: float
    is_starting: bool = False

    def missed(self, now: float) -> float:
        """How many intervals ago that was; infinite for never."""
        return math.inf if self.at is None else max(0.0, now - self.at) / self.interval_seconds


@dataclass(frozen=True, slots=True)
class RunQueue:
    """How many runs are queued, and for how long nothing has moved while none is under way (s)."""

    queued: int = 0
    stalled_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """The last heartbeats of the processes that schedule fetches, and the last ticks of what these are to carry out."""

    beats: Sequence[Heartbeat]
    ticks: Sequence[Heartbeat] = ()
    runs: RunQueue = RunQueue()


ReadHeartbeats = Callable[[], Heartbeats]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unread(_Part):
    """A part that could not be read, and why."""

    status: Literal["unknown"] = "unknown"
    reason: str


class Absent(_Part):
    """Something that is not set up here, or is still to come: it has no values, which is not the same as zeros."""

    status: Literal["absent"] = "absent"
    reason: str


class Scheduler(_Part):
    """What schedules fetches: "down" after 2 intervals without a tick of one of our sensors, or 10 without a heartbeat.

    "stale" after 2 intervals without a heartbeat; "starting" until each sensor has ticked once since the start, for
    2 intervals at most. `last_tick_of` is the sensor or daemon that is the longest silent. `queued_runs` wait in
    Dagster's queue; `stalled_sec`: for how long they have while no run was under way and none was launched or ended.
    """

    status: Literal["ok", "starting", "stale", "down"]
    last_tick_of: str
    last_tick_ts: str | None
    age_sec: float | None
    interval_sec: float
    lock_owner: str | None
    queued_runs: int = 0
    stalled_sec: float = 0.0


class Redis(_Part):
    """The Redis of the settings. `away_sec`: for how long this process has not reached it."""

    status: Literal["ok", "away"]
    latency_ms: float | None = None
    away_sec: float | None = None
    reason: str | None = None


class StateStoreHealth(_Part):
    """What runs agree through. "degraded": the home's SQLite serves in place of Redis."""

    status: Literal["ok", "degraded", "down"]
    driver: Literal["sqlite", "redis"]
    degraded: bool
    writable: bool
    reason: str | None = None


class SessionHealth(_Part):
    """A login. `leased_by`: the process of this machine that uses it. "dead": Telegram refused it the last time."""

    name: str
    status: Literal["free", "leased", "dead"]
    leased_by: int | None = None


class Sessions(_Part):
    """The logins of this machine; Telegram is not asked whether it still accepts them."""

    status: Literal["ok", "none"]
    source: Literal["files", "settings"]
    count: int
    sessions: list[SessionHealth]
    reason: str | None = None


class BreakerHealth(_Part):
    """A circuit breaker; nothing is called while it is open."""

    component: str
    state: Literal["closed", "open", "half_open"]
    since_ts: str | None
    until_ts: str | None
    seconds_left: float | None


class FloodWait(_Part):
    """Telegram lets no call of that method through until then."""

    account: str
    method: str
    reason: str
    until_ts: str
    seconds_left: float


class Rate(_Part):
    """What an account may call a method at."""

    account: str
    method: str
    per_second: float


class Queue(_Part):
    """Commands by where they are, and the age of the oldest that has not ended.

    `untaken_sec`: for how long no reader has taken what was pushed; null where nothing waits for one.
    """

    status: Literal["ok"] = "ok"
    pushed: int
    waiting: int
    in_flight: int
    dead: int
    untaken_sec: float | None
    oldest_age_sec: float | None


class Place(_Part):
    """Somewhere that is written to. `free_bytes` is null where the file system does not say."""

    status: Literal["ok", "down"]
    location: str
    writable: bool
    free_bytes: int | None
    reason: str | None = None


class Chats(_Part):
    """The registered chats, and for each the seconds since a fetch last reached its newest message, where known.

    `disabled` are the entries of chats.yaml that are wrong, each with the reason, which names the line.
    """

    status: Literal["ok", "degraded"] = "ok"
    count: int
    lag_sec: dict[str, float]
    disabled: dict[str, str] = {}


class Versions(_Part):
    """What runs here. `schemas`: of the files and messages that others read."""

    tg_pipeline: str
    python: str
    dagster: str
    telethon: str
    schemas: dict[str, str]


class Health(_Part):
    """All of it at `ts`. `reasons` say why it is not ok; `not_ready`, a part of them, why nothing could be fetched."""

    status: Overall
    ts: str
    ready: bool
    reasons: list[str]
    not_ready: list[str]
    scheduler: Scheduler | Unread
    redis: Redis | Absent | Unread
    state_store: StateStoreHealth | Unread
    sessions: Sessions | Unread
    breakers: list[BreakerHealth] | Unread
    flood_waits: list[FloodWait] | Unread
    rates: list[Rate] | Unread
    queue: Queue | Absent | Unread
    storage: Place | Unread
    home: Place | Unread
    chats: Chats | Unread
    reserved: dict[str, Absent]
    versions: Versions
