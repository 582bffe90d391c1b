"""The databases of an instance in which nothing has run yet. To copy them takes a seventh of what making them does."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg


def lay_databases(home: Path) -> None:
    """Put them into an instance's home, which need not exist, so that Dagster need not make them."""
    shutil.copytree(_made(), home, dirs_exist_ok=True)


@cache
def _made() -> Path:
    home = TemporaryDirectory(prefix="tg-pipeline-databases-")
    atexit.register(home.cleanup)
    with dg.DagsterInstance.local_temp(home.name):
        return Path(home.name)
