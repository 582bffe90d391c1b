import dagster as dg

from tg_pipeline.dagster_client.run_metrics import of_runs
from tg_pipeline.dagster_internals.history import ENDED
from tg_pipeline.observability.metrics import RUNS, RUNS_SUCCESSFUL


def test_a_canceled_run_is_neither_a_success_nor_a_failure() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for status in ENDED:
            instance.add_run(dg.DagsterRun(job_name="job", status=status))
        assert list(of_runs(instance)) == [(RUNS, [], 2), (RUNS_SUCCESSFUL, [], 1)]
