"""A backfill from launch to green, by Dagster's webserver, daemon and run processes."""

from pathlib import Path

import dagster as dg
import pytest

from tg_pipeline.bootstrap.archive import day_store
from tg_pipeline.bootstrap.settings import PROJECT_DIRECTORY
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.defs.backfills import BackfillState, launch_backfill, wait_backfill
from tg_pipeline.defs.instance import open_instance
from tg_pipeline.simulator.worlds import synthetic_chat
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import serving
from tg_pipeline_tests.telegram_account import FIRST_DAY, account, first_days, world_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORLD = world_of(
    *(synthetic_chat(name, per_day=5, first_day=FIRST_DAY, last_day=first_days(40).last) for name in ("one", "two"))
)


def test_a_backfill_is_a_few_runs_and_a_chat_that_is_gone_fails_alone(tmp_path: Path) -> None:
    register(tmp_path, "one", "two", "gone")
    home = tmp_path / "instance"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    days: dict[str, DayRange] = {"one": first_days(40), "two": first_days(3)}
    seen: list[BackfillState] = []
    with account(WORLD, tmp_path) as found:
        environment = environment_of(found) | {"BACKFILL_DAYS_PER_RUN": "31"}
        with serving("dagster", "dev", environment=environment, log=tmp_path / "log") as url:
            backfill = launch_backfill(url, days)
            last = wait_backfill(url, backfill, days, on_state=seen.append)
            assert last.succeeded, (last, (tmp_path / "log").read_text()[-5_000:])
            with open_instance(found.settings) as instance:
                assert instance.get_runs_count(dg.RunsFilter(tags={"dagster/backfill": backfill})) == 3

            failed = {"gone": first_days(1), "two": first_days(1)}
            last = wait_backfill(url, launch_backfill(url, failed), failed)
            assert last.finished
            assert not last.succeeded
            assert last.days_done == {"gone": 0, "two": 1}
            assert len(last.failed_runs) == 1

        connections = {entry["connection"] for entry in found.simulator.journal}
    store = day_store(found.settings)
    assert list(store.days("one")) == list(first_days(40))
    assert list(store.days("two")) == list(first_days(3))
    assert len({tuple(state.days_done.values()) for state in seen}) > 2, "progress can be watched"
    assert len(connections) <= 5
