"""Types of ticks and heartbeats. Waits for documented methods of `dagster.DagsterInstance` that give them."""

from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType, TickStatus
from dagster._daemon.controller import DEFAULT_HEARTBEAT_INTERVAL_SECONDS

__all__ = ["DEFAULT_HEARTBEAT_INTERVAL_SECONDS", "InstigatorStatus", "InstigatorType", "TickStatus"]
