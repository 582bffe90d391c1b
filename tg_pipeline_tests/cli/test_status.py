"""The health at a terminal."""

import json
import os
import signal
import subprocess
from contextlib import closing

import pytest
from dagster import DagsterInstance

from tg_pipeline.app.shared_state import state_store
from tg_pipeline.cli.status import duration
from tg_pipeline.contracts.errors import FloodWaitError, NetworkError
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.resilience.gate import Gate
from tg_pipeline.settings import load_settings
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.defs.beats import beat, tick
from tg_pipeline_tests.defs.databases import lay_databases
from tg_pipeline_tests.live_simulator import PROGRAM
from tg_pipeline_tests.processes import wait_until


def let_the_scheduler_tick(terminal: Terminal) -> None:
    home = terminal.home / "instance"
    lay_databases(home)
    (home / "dagster.yaml").touch()
    with DagsterInstance.from_config(str(home)) as instance:
        beat(instance)
        tick(instance, "watchdog")


def test_all_is_well(tg: Terminal) -> None:
    let_the_scheduler_tick(tg)
    tg.ok("chats", "add", "@busy")
    tg.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-01")
    said = tg.ok("status")
    assert said.startswith("ok  ")
    for row in (
        r"every 30 s, by SENSOR of this machine",
        r"Session 1 of the settings free",
        f"{tg.data}, ",
        "1 chat; read up to: busy ",
        "REDIS_URL is not set.",
        "near live scheduler │ absent",
    ):
        assert row in said, said
    health = json.loads(tg.ok("status", "--json"))
    assert (health["status"], health["reasons"]) == ("ok", [])


async def test_what_is_wrong_is_said_first_and_in_the_exit_code(terminal: Terminal) -> None:
    terminal.data.write_text("in the archive's place")
    settings = load_settings()
    with closing(state_store(settings)) as store:
        gate = Gate(store, "7", policy=settings.call_policy, clock=SystemClock(), meter=CallMeter())
        for error in [FloodWaitError(100, "a.b"), *(NetworkError("x") for _ in range(5))]:
            with pytest.raises(type(error)):
                async with gate.passage("a.b" if isinstance(error, FloodWaitError) else "c.d"):
                    raise error
    done = terminal.run("status")
    assert done.code == 1
    first, *reasons = done.out.partition("\n\n")[0].splitlines()
    assert first.startswith("down  ")
    assert [reason.partition(":")[0].strip() for reason in reasons] == ["storage", "scheduler", "sessions", "breakers"]
    assert "a.b of 7: " in done.out
    assert "a call may try in " in done.out


@pytest.mark.slow
def test_watching_looks_again_until_it_is_stopped(terminal: Terminal) -> None:
    log = terminal.home / "status.log"
    with log.open("wb") as stream:
        command = [str(PROGRAM), "status", "--watch", "--json"]
        watching = subprocess.Popen(command, env=os.environ, stdout=stream)
    try:
        assert wait_until(lambda: log.read_text().count("\n") >= 2 or watching.poll() is not None, 60)
    finally:
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    first, second, *_ = (json.loads(line)["ts"] for line in log.read_text().splitlines())
    assert first < second


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (150, "2 min"), (7_200, "2 h"), (200_000, "2 d")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
