"""A run that is terminated in the UI, in Dagster's real processes."""

from pathlib import Path

import dagster as dg
import pytest

from tg_pipeline.bootstrap.settings import PROJECT_DIRECTORY
from tg_pipeline.defs.instance import open_instance
from tg_pipeline.defs.names import messages_key
from tg_pipeline.simulator import Latency
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import launch, serving, terminate
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import account, first_days, plain_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HISTORY = "messages.getHistory"


def test_a_run_terminated_in_the_ui_keeps_the_page_in_hand_and_is_canceled(tmp_path: Path) -> None:
    register(tmp_path, "busy")
    home = tmp_path / "instance"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    log = tmp_path / "log"
    days = first_days(10)
    with (
        account(plain_world(), tmp_path, parallelism_max=1) as found,
        open_instance(found.settings) as instance,
        serving("dagster", "dev", environment=environment_of(found), log=log) as url,
    ):

        def comes_to(run_id: str, status: dg.DagsterRunStatus) -> bool:
            return wait_until(lambda: instance.get_runs_count(dg.RunsFilter([run_id], statuses=[status])) == 1, 90)

        found.simulator.faults.add(Latency(method=HISTORY, ms=3_000, skip=1))
        stopped = launch(url, "busy", days)
        assert wait_until(lambda: found.calls()[HISTORY] == 2, 90), log.read_text()[-3_000:]
        terminate(url, stopped)
        assert comes_to(stopped, dg.DagsterRunStatus.CANCELED), log.read_text()[-3_000:]
        assert found.calls()[HISTORY] == 2
        green = instance.get_materialized_partitions(messages_key("busy"))
        assert green == {str(day) for day in first_days(6)}, "of 100 messages a page and 30 a day, two pages hold six"
        found.simulator.faults.clear()
        assert comes_to(launch(url, "busy", days), dg.DagsterRunStatus.SUCCESS), log.read_text()[-3_000:]
        assert found.calls()[HISTORY] == 4, "the page in hand was asked for again"
