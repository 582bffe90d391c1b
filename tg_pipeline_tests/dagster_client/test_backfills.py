"""A backfill from launch to green, by Dagster's webserver, daemon and run processes."""

import dagster as dg
import pytest

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.backfills import BackfillState, launch_backfill, wait_backfill
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline_tests.live_platform import LivePlatform
from tg_pipeline_tests.telegram_account import first_days

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live")]


def test_a_backfill_is_a_few_runs_and_a_chat_that_is_gone_fails_alone(live: LivePlatform) -> None:
    days: dict[str, DayRange] = {"long": first_days(40), "short": first_days(3)}
    seen: list[BackfillState] = []
    journal = live.account.simulator.journal
    before = len(journal)
    backfill = launch_backfill(live.url, days)
    last = wait_backfill(live.url, backfill, days, on_state=seen.append)
    assert last.succeeded, (last, live.end_of_log)
    with open_instance(live.account.settings) as instance:
        assert instance.get_runs_count(dg.RunsFilter(tags={"dagster/backfill": backfill})) == 3
    failed = {"gone": first_days(1), "short": first_days(1)}
    last = wait_backfill(live.url, launch_backfill(live.url, failed), failed)
    assert last.finished
    assert not last.succeeded
    assert last.days_done == {"gone": 0, "short": 1}
    assert len(last.failed_runs) == 1
    assert len({entry["connection"] for entry in journal[before:]}) <= 5, "one a run"
    assert list(live.store.days("long")) == list(first_days(40))
    assert list(live.store.days("short")) == list(first_days(3))
    assert len({tuple(state.days_done.values()) for state in seen}) > 2, "progress can be watched"
