from pathlib import Path

import pytest
from upath import UPath

from tg_pipeline.storage.file_archive import FileArchive


@pytest.fixture
def store(tmp_path: Path) -> FileArchive:
    return FileArchive(UPath(tmp_path / "data"), tmp_path / "locks")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"
