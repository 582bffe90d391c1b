"""A fetch that is killed outright (SIGKILL), whenever that may be, and started again loses nothing and little time."""

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline_tests.live_simulator import LiveSimulator, live_simulator, program

CALLS_A_KILL = 8
"""The pages in hand, and up to two looks at each day that was half read."""


@pytest.fixture
def telegram(tmp_path: Path) -> Iterator[LiveSimulator]:
    """The demo world, each answer 20 ms late."""
    with live_simulator(tmp_path, "--latency-ms", "20") as simulator:
        yield simulator


def files(home: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(home / "data")): p.read_bytes() for p in sorted((home / "data").rglob("*")) if p.is_file()
    }


def fetch(telegram: LiveSimulator, home: Path, last_day: str) -> str:
    """Fetch to the end; what it said."""
    environment = telegram.environment(home)
    with program("fetch", "@demo_busy", "--from", "2024-03-01", "--to", last_day, environment=environment) as process:
        said, troubles = process.communicate()
    assert process.returncode == 0, troubles
    return said


def fetch_until_killed(telegram: LiveSimulator, home: Path, last_day: str, calls: int, delay: float) -> bool:
    """Start a fetch and kill it `delay` seconds after the simulator has seen `calls` calls; False if it ended first."""
    environment = telegram.environment(home)
    with program("fetch", "@demo_busy", "--from", "2024-03-01", "--to", last_day, environment=environment) as process:
        while telegram.history_calls() < calls and process.poll() is None:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
    return process.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last_day", "kills"),
    [("2024-03-16", 3), ("2024-03-30", 10)],
)
def test_a_fetch_killed_at_random_moments_ends_as_if_undisturbed(
    telegram: LiveSimulator, tmp_path: Path, last_day: str, kills: int
) -> None:
    fetch(telegram, tmp_path / "undisturbed", last_day)
    undisturbed = telegram.history_calls()
    rng = random.Random(last_day)
    moments = sorted(rng.randrange(undisturbed * 9 // 10) for _ in range(kills))
    home = tmp_path / "killed"
    killed = [
        fetch_until_killed(telegram, home, last_day, undisturbed + moment, rng.uniform(0, 0.03)) for moment in moments
    ]
    said = fetch(telegram, home, last_day)
    assert all(killed)
    assert re.search(r"; \d+ days? kept ", said)
    assert files(home) == files(tmp_path / "undisturbed")
    assert telegram.history_calls() - undisturbed <= undisturbed + CALLS_A_KILL * kills
