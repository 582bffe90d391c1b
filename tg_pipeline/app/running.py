"""Whether `tg-pipeline up` runs on an instance home, as the lease in it says."""

from pathlib import Path

from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.machine.lease import look

LEASE = "up"
"""Signed by each `up` at its start, and held until it ends."""


def up_since(home: Path) -> float | None:
    """When the `tg-pipeline up` of this home was started (POSIX s); None where none runs on this machine."""
    try:
        return (home / f"{LEASE}.lock").stat().st_mtime if look(home, LEASE) == "held" else None
    except (OSError, StorageError):
        return None
