"""Heartbeats and ticks as Dagster's daemon writes them into an instance, without a daemon."""

import time
from collections.abc import Sequence

from dagster import DagsterInstance
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from tg_pipeline.dagster_client.ticks import DAEMONS


def beat(instance: DagsterInstance, *, at: float | None = None, names: Sequence[str] = tuple(DAEMONS)) -> None:
    """A heartbeat of each of these daemons, at a time in POSIX seconds, else now."""
    moment = time.time() if at is None else at
    for name in names:
        instance.add_daemon_heartbeat(DaemonHeartbeat(moment, name, f"{name} of this machine", []))


def tick(
    instance: DagsterInstance,
    *names: str,
    at: float | None = None,
    status: TickStatus = TickStatus.SKIPPED,
    on: bool = True,
) -> None:
    """A tick of each of these sensors, likewise. One that is not `on` was turned off in the UI."""
    for name in names:
        location = GrpcServerCodeLocationOrigin(host="localhost", socket="/none", location_name="tg_pipeline")
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
        turned = InstigatorStatus.DECLARED_IN_CODE if on else InstigatorStatus.STOPPED
        state = InstigatorState(origin, InstigatorType.SENSOR, turned, SensorInstigatorData())
        known = instance.get_instigator_state(origin.get_id(), state.selector_id)
        (instance.update_instigator_state if known else instance.add_instigator_state)(state)
        instance.create_tick(
            TickData(
                origin.get_id(),
                name,
                InstigatorType.SENSOR,
                status,
                time.time() if at is None else at,
                error=SerializableErrorInfo("it failed", [], None) if status is TickStatus.FAILURE else None,
                selector_id=state.selector_id,
            )
        )
