"""What is added to the folder of definitions is loaded with ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tg_pipeline.defs.scaffolded import added
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline_tests.defs.pipeline import register

KEYS = """
import json
from tg_pipeline.definitions import defs
print(json.dumps([key.to_user_string() for key in defs.resolve_all_asset_keys()]))
"""
DOWNSTREAM = """
import dagster as dg

from tg_pipeline.dagster_client.names import DAY_FILES, messages_key

@dg.asset(deps=[messages_key("a")], io_manager_key=DAY_FILES)
def summary() -> None: ...
"""


def test_every_module_of_ours_is_listed() -> None:
    assert added() == []


@pytest.mark.slow
@pytest.mark.xdist_group("scaffolded")
def test_what_dg_scaffolds_is_loaded_beside_the_chats(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "tg_pipeline"):
        copy = shutil.copytree if (PROJECT_DIRECTORY / name).is_dir() else shutil.copy
        copy(PROJECT_DIRECTORY / name, tmp_path / name)
    register(tmp_path, "a")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "CHATS_FILE": str(tmp_path / "chats.yaml"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    (tmp_path / "tg_pipeline" / "defs" / "summary.py").write_text(DOWNSTREAM)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(str(Path(sys.executable).with_name("dg")), "scaffold", "defs", "dagster.asset", "stats/daily.py")
    assert sorted(json.loads(run(sys.executable, "-c", KEYS))) == ["daily", "summary", "telegram/a/messages"]
