"""How the pipeline is: gathered from where its parts keep their state, without calling Telegram.

Every part is read for itself: one that cannot be read says why, and takes no other along.
"""

import platform
import re
import shutil
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

from upath import UPath

from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.chats import registry
from tg_pipeline.app.commands import PUBLISHING, REDIS, command_queue
from tg_pipeline.app.freshness import lags
from tg_pipeline.app.login import DEAD_SESSIONS
from tg_pipeline.app.shared_state import state_store
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.day_file import SCHEMA_VERSION
from tg_pipeline.contracts.errors import SessionMissing, StateUnavailable, StorageError
from tg_pipeline.contracts.events import EVENT_SCHEMA_VERSION, timestamp
from tg_pipeline.contracts.health import (
    Absent,
    BreakerHealth,
    Chats,
    FloodWait,
    Health,
    Heartbeat,
    Place,
    Queue,
    Rate,
    ReadHeartbeats,
    Redis,
    Scheduler,
    SessionHealth,
    Sessions,
    StateStoreHealth,
    Unread,
    Versions,
)
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.machine.atomic import check_writable, is_local
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.machine.lease import look, signer
from tg_pipeline.monitoring.in_parallel import SideBySide
from tg_pipeline.monitoring.summary import summarize
from tg_pipeline.resilience.overview import overview
from tg_pipeline.settings import Settings
from tg_pipeline.telegram.sessions import SUFFIX, Session, load_sessions

LIMIT_SECONDS: Final = 2.0
STALE_INTERVALS: Final = 2
DOWN_INTERVALS: Final = 10
PROBE_TTL_SECONDS: Final = 60.0
NO_REDIS: Final = Absent(reason="REDIS_URL is not set.")
PACED: Final = ("breakers", "flood_waits", "rates")
RESERVED: Final = {name: Absent(reason="It is still to come.") for name in ("near_live_scheduler", "data_quality")}
_USERINFO = re.compile(r"//[^/@]*@")


class HealthCheck:
    """Looks at the pipeline of these settings as often as it is asked; not from two threads at once.

    `heartbeats` gives those of whatever schedules fetches. A part gets `limit_seconds`.
    """

    def __init__(
        self,
        settings: Settings,
        heartbeats: ReadHeartbeats,
        *,
        clock: Clock | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._settings = settings
        self._heartbeats = heartbeats
        self._clock = clock or SystemClock()
        self._parts = SideBySide(limit_seconds)
        self._away_since: float | None = None
        self._versions = _versions()

    def look(self) -> Health:
        """All parts, now."""
        parts = self._parts.read(
            {
                "scheduler": self._scheduler,
                "redis": self._redis,
                "state_store": self._state_store,
                "sessions": self._sessions,
                "paced": self._paced,
                "queue": self._queue,
                "storage": lambda: _place(self._settings.data_root),
                "home": lambda: _place(UPath(self._settings.home)),
                "chats": self._chats,
            }
        )
        paced = parts.pop("paced")
        parts |= dict.fromkeys(PACED, paced) if isinstance(paced, Unread) else paced
        summary = summarize(parts, longest_flood_wait=self._settings.flood_wait_max_seconds)
        return Health(
            status=summary.status,
            ts=timestamp(self._clock.now()),
            ready=not summary.not_ready,
            reasons=summary.reasons,
            not_ready=summary.not_ready,
            reserved=RESERVED,
            versions=self._versions,
            **parts,
        )

    def close(self) -> None:
        """Close files and connections."""
        for name in ("_store", "_commands"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @cached_property
    def _store(self) -> StateStore:
        return state_store(self._settings, self._clock)

    @cached_property
    def _commands(self) -> CommandQueue:
        return command_queue(self._settings)

    def _scheduler(self) -> Scheduler:
        """The heartbeat and the tick that are most overdue are those that count: all of them must run."""
        found = self._heartbeats()
        now = self._clock.now()

        def missed(beats: Sequence[Heartbeat]) -> float:
            return max((beat.missed(now) for beat in beats), default=0.0)

        is_down = missed(found.beats) > DOWN_INTERVALS or missed(found.ticks) > STALE_INTERVALS
        starting = [beat for beat in (*found.ticks, *found.beats) if beat.is_starting and not is_down]
        is_stale = missed(found.beats) > STALE_INTERVALS
        last = max(starting or [*found.ticks, *found.beats], key=lambda beat: beat.missed(now))
        return Scheduler(
            status="down" if is_down else "starting" if starting else "stale" if is_stale else "ok",
            last_tick_of=last.name,
            last_tick_ts=None if last.at is None or last.is_starting else timestamp(last.at),
            age_sec=None if last.at is None else max(0.0, now - last.at),
            interval_sec=last.interval_seconds,
            lock_owner=max(found.beats, key=lambda beat: beat.missed(now)).owner,
            queued_runs=found.runs.queued,
            stalled_sec=found.runs.stalled_seconds,
        )

    def _redis(self) -> Redis | Absent:
        if self._settings.redis is None:
            return NO_REDIS
        began = perf_counter()
        try:
            self._commands.ping()
        except StateUnavailable as error:
            now = self._clock.steady()
            self._away_since = now if self._away_since is None else self._away_since
            return Redis(status="away", away_sec=now - self._away_since, reason=str(error))
        self._away_since = None
        return Redis(status="ok", latency_ms=round((perf_counter() - began) * 1_000, 3))

    def _state_store(self) -> StateStoreHealth:
        driver: Literal["sqlite", "redis"] = "sqlite" if self._settings.redis is None else "redis"
        try:
            self._store.add("health:probe", ttl_seconds=PROBE_TTL_SECONDS)
        except (StateUnavailable, StorageError) as error:
            return StateStoreHealth(status="down", driver=driver, degraded=False, writable=False, reason=str(error))
        degraded = self._store.degraded
        return StateStoreHealth(
            status="degraded" if degraded else "ok", driver=driver, degraded=degraded, writable=True
        )

    def _sessions(self) -> Sessions:
        given = self._settings.session_secrets
        source: Literal["files", "settings"] = "settings" if given else "files"
        try:
            found = load_sessions(self._settings.home / "sessions", given)
        except SessionMissing as error:
            return Sessions(status="none", source=source, count=0, sessions=[], reason=str(error))
        dead = self._store.hash_get(DEAD_SESSIONS)
        sessions = [self._session(session, dead=session.fingerprint in dead) for session in found]
        return Sessions(status="ok", source=source, count=len(found), sessions=sessions)

    def _session(self, session: Session, *, dead: bool) -> SessionHealth:
        name = Path(session.name).name.removesuffix(SUFFIX)
        if dead:
            return SessionHealth(name=name, status="dead")
        if look(self._settings.session_leases, session.fingerprint) != "held":
            return SessionHealth(name=name, status="free")
        holder = signer(self._settings.session_leases, session.fingerprint)
        return SessionHealth(name=name, status="leased", leased_by=holder)

    def _paced(self) -> dict[str, Any]:
        """Breakers, flood waits and learned rates."""
        seen = overview(self._store, self._settings.call_policy, {REDIS: PUBLISHING})
        wall = self._clock.now() - seen.now

        def text(moment: float | None) -> str | None:
            return None if moment is None else timestamp(wall + moment)

        return {
            "breakers": [
                BreakerHealth(
                    component=one.component,
                    state=one.state,
                    since_ts=text(one.since),
                    until_ts=text(one.until),
                    seconds_left=None if one.until is None else one.until - seen.now,
                )
                for one in seen.breakers
            ],
            "flood_waits": [
                FloodWait(
                    account=one.account,
                    method=one.method,
                    reason=one.reason,
                    until_ts=timestamp(wall + one.blocked_until),
                    seconds_left=one.blocked_until - seen.now,
                )
                for one in seen.budgets
                if one.blocked_until is not None
            ],
            "rates": [Rate(account=one.account, method=one.method, per_second=one.rate) for one in seen.budgets],
        }

    def _queue(self) -> Queue | Absent:
        if self._settings.redis is None:
            return NO_REDIS
        oldest = self._commands.oldest()
        ages = [None if since is None else max(0.0, self._clock.now() - since) for since in oldest]
        counts = self._commands.counts()
        return Queue(
            pushed=counts["pushed"],
            waiting=counts["waiting"],
            in_flight=counts["in_flight"],
            dead=counts["dead"],
            untaken_sec=ages[0],
            oldest_age_sec=max((age for age in ages if age is not None), default=None),
        )

    def _chats(self) -> Chats:
        known = registry(self._settings)
        slugs = [chat.slug for chat in known.chats]
        found = lags(self._store, open_archive(self._settings), slugs, self._clock.now())
        disabled = {f"{entry.name} (line {entry.line})": entry.reason for entry in known.disabled}
        return Chats(status="degraded" if disabled else "ok", count=len(slugs), lag_sec=found, disabled=disabled)


def _place(root: UPath) -> Place:
    """Whether a file can be put there: one is, as day files are, and taken away again."""
    location = _USERINFO.sub("//", str(root))
    try:
        check_writable(root)
        free = shutil.disk_usage(root.path).free if is_local(root) else None
    except StorageError as error:
        cause = error.__cause__
        reason = (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
        sentence = f"{location} cannot be written: {reason}."
        return Place(status="down", location=location, writable=False, free_bytes=None, reason=sentence)
    return Place(status="ok", location=location, writable=True, free_bytes=free)


def _versions() -> Versions:
    return Versions(
        tg_pipeline=version("tg-pipeline"),
        python=platform.python_version(),
        dagster=version("dagster"),
        telethon=version("telethon"),
        schemas={"day_file": SCHEMA_VERSION, "event": EVENT_SCHEMA_VERSION},
    )
