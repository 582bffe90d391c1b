"""The list of seeds and faults, collected from all workers and printed at the end of the run.

The hooks are imported by the suite's own conftest.py: the process that prints collects no tests, and loads no other.
"""

import os
import tempfile
from pathlib import Path

import pytest

from tg_pipeline_tests.chaos import seeds

KEY = "TG_PIPELINE_CHAOS_LOG"


def pytest_configure() -> None:
    """One file for all workers: they inherit the environment of the process that starts them."""
    seeds.choose_night()
    if KEY not in os.environ:
        os.environ[KEY] = str(Path(tempfile.mkdtemp(prefix="tg-pipeline-chaos-log-"), "schedules.txt"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every schedule that was played, and what came of it."""
    log = Path(os.environ.get(KEY, ""))
    if "PYTEST_XDIST_WORKER" not in os.environ and log.is_file():
        lines = sorted(log.read_text().splitlines(), key=lambda line: int(line.split(":")[0].removeprefix("seed ")))
        terminalreporter.section(f"chaos: {len(lines)} schedules, {sum(not x.endswith('| ok') for x in lines)} broken")
        for line in lines:
            terminalreporter.write_line(line)
        log.unlink()
