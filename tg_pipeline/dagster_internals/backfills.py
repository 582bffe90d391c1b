"""Backfills of a sensor. Waits for a public way to start them (dagster#13852, #27759; proposed in dagster#34096)."""

from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import CodeLocationOrigin, RemotePartitionSetOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.external_data import partition_set_snap_name_for_job_name

__all__ = [
    "BulkActionStatus",
    "CodeLocationOrigin",
    "PartitionBackfill",
    "RemotePartitionSetOrigin",
    "RemoteRepositoryOrigin",
    "partition_set_snap_name_for_job_name",
]
