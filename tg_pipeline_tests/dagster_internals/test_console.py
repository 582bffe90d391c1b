"""What a run prints, with Dagster's own loggers and an instance that captures our lines as dagster.yaml has it."""

import logging
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution import context_creation_job
from dagster._loggers import default_system_loggers

from tg_pipeline.dagster_internals import console
from tg_pipeline.observability import logs

log = logging.getLogger("tg_pipeline.somewhere")


@pytest.fixture
def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[BaseException], str]]:
    """What Dagster prints of a run in which we log a line, its step logs one, and then ends with the error."""
    monkeypatch.setattr("coloredlogs.terminal_supports_colors", lambda _: True)
    monkeypatch.setattr(context_creation_job, "default_system_loggers", default_system_loggers)
    factory, level = logging.getLogRecordFactory(), logging.getLogger(logs.OURS).level
    logging.setLogRecordFactory(logs._Record)
    captured = {"python_logs": {"managed_python_loggers": [logs.OURS], "python_log_level": "INFO"}}

    def of(error: BaseException) -> str:
        @dg.op
        def step(context: dg.OpExecutionContext) -> None:
            log.info("ours")
            context.log.info("the step's")
            raise error

        @dg.job(executor_def=dg.in_process_executor)
        def a_job() -> None:
            step()

        with dg.DagsterInstance.ephemeral(settings=captured) as instance:
            a_job.execute_in_process(instance=instance, raise_on_error=False)
        return capsys.readouterr().err

    yield of
    logging.setLogRecordFactory(factory)
    logging.getLogger(logs.OURS).setLevel(level)


def test_of_our_lines_nothing_is_printed_again(printed: Callable[[BaseException], str]) -> None:
    assert "ours" in printed(OSError())
    console.print_each_line_once()
    said = printed(OSError())
    assert "ours" not in said
    assert "the step's" in said


def test_a_run_that_was_asked_to_stop_says_so_without_a_stack(printed: Callable[[BaseException], str]) -> None:
    console.print_each_line_once()
    said = printed(DagsterExecutionInterruptedError())
    assert "RUN_FAILURE" in said
    assert "Traceback" not in said
    assert "Stack" not in said
    assert "u001b" not in said, "no colours, which would be written as escapes"
    assert "Stack" in printed(OSError()), "what went wrong is told in full"
