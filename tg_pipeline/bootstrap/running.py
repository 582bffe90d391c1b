"""Whether `tg-pipeline up` runs on an instance home, as the lock in it tells."""

from pathlib import Path

LOCK = "up.lock"
"""Holds the process id of the last `up`, which writes it at its start."""


def up_since(home: Path) -> float | None:
    """When the `tg-pipeline up` of this home was started (POSIX s); None where none runs on this machine."""
    try:
        since = (home / LOCK).stat().st_mtime
        pid = int((home / LOCK).read_text())
    except (OSError, ValueError):
        return None
    return since if Path(f"/proc/{pid}").exists() else None
