"""Definitions that `dg scaffold` or a person adds to this folder, beside the modules of ours that lie here."""

from pathlib import Path
from typing import Final

import dagster as dg

FOLDER: Final = Path(__file__).parent
OURS: Final = (
    "__init__ checks commands ended_runs factory failures interrupts io_manager jobs metadata metrics partitions "
    "repeats resources retention run_events run_fetches scaffolded schedules tracing watchdog"
)
"""Modules without definitions of their own: what they make, `tg_pipeline.definitions` calls for."""


def added() -> list[str]:
    """Names of the files and folders here that are not ours."""
    names = (
        path.name for path in FOLDER.iterdir() if path.suffix == ".py" or path.is_dir() or path.name == "defs.yaml"
    )
    return sorted(name for name in names if name.removesuffix(".py") not in OURS.split() and name != "__pycache__")


def scaffolded_definitions() -> dg.Definitions:
    """Everything that is defined in this folder, as `dg` finds it; without a look inside where nothing is added.

    To have Dagster look takes 0.4 s of CPU, a third of what loading our definitions takes, and every run would pay it.
    """
    return dg.load_from_defs_folder(path_within_project=FOLDER) if added() else dg.Definitions()
