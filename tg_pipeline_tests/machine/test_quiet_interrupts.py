"""A process that is asked to stop while it loads the definitions shows no stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tg_pipeline.settings import PROJECT_DIRECTORY

LOADED = """
import tg_pipeline.machine.quiet_interrupts
import os, signal
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
def test_a_code_server_that_is_stopped_while_it_loads_shows_no_stack(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text(LOADED)
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-m", "loaded", "--socket", str(tmp_path / "socket")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIRECTORY), "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr == ""


@pytest.mark.parametrize(("error", "shown"), [("KeyboardInterrupt", False), ("RuntimeError", True)])
def test_only_interrupts_are_not_shown(error: str, *, shown: bool) -> None:
    code = f"import tg_pipeline.machine.quiet_interrupts; raise {error}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert ("Traceback" in done.stderr) is shown


def test_the_definitions_import_it_before_anything_else_of_ours() -> None:
    source = PROJECT_DIRECTORY / "tg_pipeline" / "definitions.py"
    ours = [line for line in source.read_text().splitlines() if line.startswith(("import tg_p", "from tg_p"))]
    assert ours[0].startswith("import tg_pipeline.machine.quiet_interrupts")
