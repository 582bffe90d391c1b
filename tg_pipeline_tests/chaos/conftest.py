"""Where the schedules are listed that a run plays."""

import os
from pathlib import Path

import pytest

from tg_pipeline_tests.chaos.log import KEY


@pytest.fixture
def chaos_log() -> Path:
    return Path(os.environ[KEY])
