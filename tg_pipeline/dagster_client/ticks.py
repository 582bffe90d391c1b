"""When what must run in Dagster was last heard of: its daemons, and our sensors."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from typing import Final

import dagster as dg

from tg_pipeline.app.running import up_since
from tg_pipeline.contracts.health import Heartbeat, Heartbeats, RunQueue
from tg_pipeline.dagster_internals.ticks import (
    DEFAULT_HEARTBEAT_INTERVAL_SECONDS,
    InstigatorStatus,
    InstigatorType,
    TickStatus,
)
from tg_pipeline.settings import Settings

DAEMONS: Final = {"SENSOR": DEFAULT_HEARTBEAT_INTERVAL_SECONDS, "SCHEDULER": 60}
"""Those that start fetches, and the seconds between their heartbeats: the scheduler has one when a minute begins.

Commands, backfills and the watchdog come by sensors.
"""
OVERDUE_INTERVALS: Final = 2
_NOT_LAUNCHED: Final = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}
WORKED: Final = [TickStatus.SUCCESS, TickStatus.SKIPPED]


def sensors(settings: Settings) -> list[str]:
    """The sensors that must tick: the daemon lives on when they do not, as where the code server is dead."""
    return ["watchdog", *(["commands", "ended_runs"] if settings.redis else [])]


def heartbeats(instance: dg.DagsterInstance | None, settings: Settings) -> Heartbeats:
    """The last heartbeat of each daemon, and the last tick of each sensor that nobody turned off. None: of neither."""
    found = instance.get_daemon_heartbeats() if instance else {}
    daemons = [
        Heartbeat(name, found[name].timestamp, found[name].daemon_id, interval)
        if name in found
        else Heartbeat(name, None, None, interval)
        for name, interval in DAEMONS.items()
    ]
    # One tick that fails must fit into two intervals.
    interval = max(
        DEFAULT_HEARTBEAT_INTERVAL_SECONDS, 1.5 * settings.commands_interval_seconds if settings.redis else 0
    )
    ticks = list(_ticks(instance, sensors(settings), interval)) if instance else []
    since, now = up_since(settings.home), time.time()
    if since is None:
        return Heartbeats(daemons, ticks, queue_of(instance, 0.0, now))
    # A daemon that was stopped for a moment beats again in time; a sensor is to have ticked before all is ready.
    daemons = [beat if beat.missed(now) <= OVERDUE_INTERVALS else _since_start(beat, since) for beat in daemons]
    return Heartbeats(daemons, [_since_start(tick, since) for tick in ticks], queue_of(instance, since, now))


def _since_start(beat: Heartbeat, since: float) -> Heartbeat:
    """The heartbeat, or the start of `tg-pipeline up` where that was later."""
    return beat if (beat.at or 0.0) >= since else replace(beat, at=since, is_starting=True)


def queue_of(instance: dg.DagsterInstance | None, since: float, now: float) -> RunQueue:
    """What waits in Dagster's queue, and for how long nothing has moved since `since` (both in POSIX s)."""
    waiting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
    oldest = instance.get_run_records(waiting, limit=1, ascending=True) if instance else []
    if instance is None or not oldest:
        return RunQueue()
    queued = instance.get_runs_count(waiting)
    if instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        return RunQueue(queued)
    launched = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status not in _NOT_LAUNCHED])
    moved = instance.get_run_records(launched, limit=1, order_by="update_timestamp")
    times = [oldest[0].create_timestamp, *(record.update_timestamp for record in moved)]
    return RunQueue(queued, max(0.0, now - max(since, *(at.replace(tzinfo=UTC).timestamp() for at in times))))


def _ticks(instance: dg.DagsterInstance, names: list[str], interval: float) -> Iterator[Heartbeat]:
    states = {
        state.instigator_name: state for state in instance.all_instigator_state(None, None, InstigatorType.SENSOR)
    }
    for name in names:
        state = states.get(name)
        if state is None:
            yield Heartbeat(name, None, None, interval)
        elif state.status is not InstigatorStatus.STOPPED:
            # A tick that failed, as every one does while the code server is away, did no work.
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=WORKED)
            yield Heartbeat(name, ticks[0].timestamp if ticks else None, None, interval)
