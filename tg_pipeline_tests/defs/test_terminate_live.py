"""A run that is terminated in the UI, in Dagster's real processes."""

import dagster as dg
import pytest

from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.simulator import Latency
from tg_pipeline_tests.defs.servers import launch, terminate
from tg_pipeline_tests.live_platform import LivePlatform
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import first_days

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live")]

HISTORY = "messages.getHistory"


def test_a_run_terminated_in_the_ui_keeps_the_page_in_hand_and_is_canceled(live: LivePlatform) -> None:
    days, faults = first_days(10), live.account.simulator.faults

    def calls() -> int:
        return live.history_calls("stopped")

    with open_instance(live.account.settings) as instance:

        def comes_to(run_id: str, status: dg.DagsterRunStatus) -> bool:
            return wait_until(lambda: instance.get_runs_count(dg.RunsFilter([run_id], statuses=[status])) == 1, 90)

        faults.add(Latency(method=HISTORY, ms=3_000, skip=1))
        stopped = launch(live.url, "stopped", days)
        assert wait_until(lambda: calls() == 2, 90), live.end_of_log
        terminate(live.url, stopped)
        assert comes_to(stopped, dg.DagsterRunStatus.CANCELED), live.end_of_log
        assert calls() == 2
        green = instance.get_materialized_partitions(messages_key("stopped"))
        assert green == {str(day) for day in first_days(6)}, "of 100 messages a page and 30 a day, two pages hold six"
        faults.clear()
        assert comes_to(launch(live.url, "stopped", days), dg.DagsterRunStatus.SUCCESS), live.end_of_log
        assert calls() == 4 + 1, "one looks at the day that was half read; the page in hand is not asked for again"
