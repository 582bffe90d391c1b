"""When what must run in Dagster was last heard of: its daemons, and our sensors."""

from collections.abc import Iterator
from typing import Final

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType, TickStatus
from dagster._daemon.controller import DEFAULT_HEARTBEAT_INTERVAL_SECONDS

from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.contracts.health import Heartbeat, Heartbeats

DAEMONS: Final = {"SENSOR": DEFAULT_HEARTBEAT_INTERVAL_SECONDS, "SCHEDULER": 60}
"""Those that start fetches, and the seconds between their heartbeats: the scheduler has one when a minute begins.

Commands, backfills and the watchdog come by sensors.
"""
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
    interval = max(DEFAULT_HEARTBEAT_INTERVAL_SECONDS, settings.commands_interval_seconds if settings.redis else 0)
    return Heartbeats(daemons, list(_ticks(instance, sensors(settings), interval)) if instance else [])


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
