"""Two hundred schedules, twenty of the whole of Dagster, one of commands; all are listed at the end (conftest.py)."""

from pathlib import Path

import pytest

from tg_pipeline.simulator import Error
from tg_pipeline_tests.chaos import commands
from tg_pipeline_tests.chaos.play import play
from tg_pipeline_tests.chaos.schedule import HISTORY, SHAPES, Event, Schedule, draw, draw_for_dagster

SCHEDULES = 200
A_TEST = 10
DAGSTER_SCHEDULES = 20
SEED_OF_COMMANDS = 1


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SCHEDULES, A_TEST))
def test_nothing_is_lost_doubled_or_hammered(first: int, chaos_log: Path) -> None:
    broken = []
    for seed in range(first, first + A_TEST):
        played = play(draw(seed))
        with chaos_log.open("a") as log:
            log.write(f"{played}\n")
        broken += [str(played)] if played.broken else []
    assert not broken, "replay with: python -m tg_pipeline_tests.chaos --seed N"


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("first", range(0, DAGSTER_SCHEDULES, 2))
def test_the_whole_of_dagster_loses_and_doubles_nothing(first: int, chaos_log: Path) -> None:
    broken = []
    for seed in range(first, first + 2):
        played = play(draw_for_dagster(seed))
        with chaos_log.open("a") as log:
            log.write(f"{played}\n")
        broken += [str(played)] if played.broken else []
    assert not broken, "replay with: python -m tg_pipeline_tests.chaos --dagster --seed N"


@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_a_hundred_commands_outlive_thirty_kills(chaos_log: Path) -> None:
    played = commands.play(SEED_OF_COMMANDS)
    with chaos_log.open("a") as log:
        log.write(f"{played}\n")
    assert not played.broken, "replay with: python -m tg_pipeline_tests.chaos.commands --seed N"


def test_one_schedule_in_the_short_suite() -> None:
    assert not play(draw(3)).broken


def test_a_schedule_follows_from_its_seed() -> None:
    assert [str(draw(seed)) for seed in range(50)] == [str(draw(seed)) for seed in range(50)]
    assert len({str(draw(seed)) for seed in range(50)}) == 50


def test_a_build_that_keeps_what_it_learned_to_itself_is_caught() -> None:
    long = Error(method=HISTORY, error="FLOOD_WAIT_50", skip=1, count=1)
    schedule = Schedule(seed=0, shape=SHAPES[0], faults=[long], events=[Event("kill", floods=1)])
    assert any("into FLOOD_WAIT_50" in sentence for sentence in play(schedule, broken="memory").broken)
    assert play(schedule).broken == []
