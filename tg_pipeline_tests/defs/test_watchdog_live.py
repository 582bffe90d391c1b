"""A run killed together with its code server, in Dagster's real processes."""

import json
import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from tg_pipeline.app.archive import open_archive
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.machine.lease import look
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline.simulator.faults.rules import Latency
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import launch, serving
from tg_pipeline_tests.processes import is_running, wait_until
from tg_pipeline_tests.telegram_account import FIRST_DAY, account, first_days, plain_world

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trees")]


def code_servers(home: Path) -> set[int]:
    """The processes that serve this home's definitions: one that stays over reloads, one that holds the code."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().split(b"\0")
            environment = (directory / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        serves = command[3:5] in ([b"code-server", b"start"], [b"api", b"grpc"])
        if serves and f"DAGSTER_HOME={home}".encode() in environment:
            found.add(int(directory.name))
    return found


def kill(home: Path, run_id: str) -> None:
    """End the run's process and the code servers at once, without a chance to say so."""
    holder = json.loads((home / "runs" / f"{run_id}.lock").read_text())["pid"]
    pids = {holder, *code_servers(home)}
    assert len(pids) == 3
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_running, pids)))


def test_a_run_killed_with_its_code_server_fails_and_the_next_proceeds(tmp_path: Path) -> None:
    register(tmp_path, "busy")
    home = tmp_path / "instance"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    with account(plain_world(), tmp_path) as found, open_instance(found.settings) as instance:
        found.simulator.faults.add(Latency(method="messages.getHistory", ms=600_000))

        def comes_to(run_id: str, status: dg.DagsterRunStatus, seconds: float) -> bool:
            return wait_until(lambda: instance.get_runs_count(dg.RunsFilter([run_id], statuses=[status])) == 1, seconds)

        with serving("dagster", "dev", environment=environment_of(found), log=tmp_path / "log") as url:
            dead = launch(url, "busy", first_days(1))
            assert wait_until(lambda: look(home / "runs", dead) == "held", 90), (tmp_path / "log").read_text()[-3_000:]
            waiting = launch(url, "busy", first_days(1))
            kill(home, dead)
            found.simulator.faults.clear()
            assert comes_to(dead, dg.DagsterRunStatus.FAILURE, 120), (tmp_path / "log").read_text()[-3_000:]
            assert comes_to(waiting, dg.DagsterRunStatus.SUCCESS, 90), (tmp_path / "log").read_text()[-3_000:]
        assert list(open_archive(found.settings).days("busy")) == [FIRST_DAY]
