from pathlib import Path

import pytest
from upath import UPath

from tg_pipeline.storage.day_store import DayStore


@pytest.fixture
def store(tmp_path: Path) -> DayStore:
    return DayStore(UPath(tmp_path / "data"), tmp_path / "locks")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"
