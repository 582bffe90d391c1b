import logging
from pathlib import Path

import pytest

from tg_pipeline.app.retention import remove_leftovers
from tg_pipeline.settings import Settings


def test_the_metrics_of_a_home_from_before_are_removed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(_env_file=None, dagster_home=tmp_path)
    for name in ("live-12", "archive-3", "folding-4"):
        (tmp_path / "metrics" / name).mkdir(parents=True)
        (tmp_path / "metrics" / name / "counter_12.db").write_bytes(b"\0" * 64)
    (tmp_path / "metrics" / "instance").write_text("abc")
    caplog.set_level(logging.INFO)
    remove_leftovers(settings)
    remove_leftovers(settings)
    assert [path.name for path in (tmp_path / "metrics").iterdir()] == ["instance"]
    assert len(caplog.records) == 1
