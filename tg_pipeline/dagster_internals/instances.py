"""What an instance is made of. Waits for `instance_class` and an instance's id to be documented."""

from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.runs import SqlRunStorage
from dagster._daemon.types import DaemonHeartbeat

__all__ = ["DaemonHeartbeat", "InstanceRef", "SqlRunStorage"]
