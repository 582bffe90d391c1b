"""The contract of `contracts.launcher.Launcher`, held by the launcher in memory and by Dagster's."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Protocol

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.launcher import Launcher, Outcome
from tg_pipeline.dagster_client.launching import DagsterLauncher
from tg_pipeline.dagster_client.runs import tags_of
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline_tests.app.memory_launcher import SUCCESS, MemoryLauncher
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days

DAYS = first_days(2)


class Bench(Protocol):
    """A launcher, and what happens to what it launched."""

    @property
    def launcher(self) -> Launcher:
        """As of now."""

    def begin(self, command: AcceptedCommand) -> None:
        """What was launched gets its runs."""

    def end(self, command: AcceptedCommand) -> None:
        """All runs succeed."""

    def die(self, command: AcceptedCommand) -> None:
        """The process of the first run dies; the others succeed."""


class InMemory:
    def __init__(self) -> None:
        self.launcher = MemoryLauncher("busy", start=FIRST_DAY)

    def begin(self, command: AcceptedCommand) -> None:
        pass

    def end(self, command: AcceptedCommand) -> None:
        canceled = command in self.launcher.canceled
        self.launcher.ends[command.id] = replace(SUCCESS, status="canceled") if canceled else SUCCESS

    def die(self, command: AcceptedCommand) -> None:
        self.launcher.dead["run"] = command.id
        self.launcher.ends[command.id] = Outcome("failed", 0, 1, 1.0, 2.0, error_type="RunDied")


class InDagster:
    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.launcher = DagsterLauncher(
            instance, 1, RegisteredCodeLocationOrigin("tg_pipeline"), {"busy": daily_partitions(FIRST_DAY)}
        )
        self._runs: list[dg.DagsterRun] = []

    def begin(self, command: AcceptedCommand) -> None:
        """As Dagster does: runs of requests by their keys once, those of a backfill by its partitions."""
        keys = {request.run_key: request for request in self.launcher.requests}
        self.launcher.requests.clear()
        requested = [dict(request.tags) for request in keys.values()]
        backfills = [] if self._runs else self.instance.get_backfills()
        parts = [tags_of(command) for backfill in backfills for _ in backfill.partition_names or ()]
        for tags in [*requested, *parts]:
            run = self.instance.add_run(dg.DagsterRun(job_name="fetch_busy", tags=tags))
            started = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=run.job_name)
            self.instance.report_dagster_event(started, run_id=run.run_id)
            self._runs.append(run)

    def end(self, command: AcceptedCommand) -> None:  # noqa: ARG002 - as Bench
        for run in self._under_way():
            done = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name)
            self.instance.report_dagster_event(done, run_id=run.run_id)
        for backfill in self.instance.get_backfills():
            canceling = backfill.status is BulkActionStatus.CANCELING
            status = BulkActionStatus.CANCELED if canceling else BulkActionStatus.COMPLETED_SUCCESS
            self.instance.update_backfill(backfill.with_status(status))  # type: ignore[no-untyped-call]

    def die(self, command: AcceptedCommand) -> None:
        self.instance.report_run_failed(self._under_way()[0])
        self.end(command)

    def _under_way(self) -> list[dg.DagsterRun]:
        found = [self.instance.get_run_by_id(run.run_id) for run in self._runs]
        return [run for run in found if run is not None and not run.is_finished]


@pytest.fixture(params=["memory", "dagster"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    (tmp_path / "dagster.yaml").write_text(
        "run_retries: {enabled: true, max_retries: 3}\ntelemetry: {enabled: false}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield InDagster(instance)


@pytest.fixture(params=[1, 2], ids=["a day", "two days"])
def command(request: pytest.FixtureRequest) -> AcceptedCommand:
    last = DAYS.first if request.param == 1 else DAYS.last
    return accepted(last)


def accepted(last: date, id_: str = "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11") -> AcceptedCommand:
    return AcceptedCommand(
        id=id_, slug="busy", chat="@busy", mode="range", params={}, first=DAYS.first, last=last, accepted=7
    )


def test_chats_and_days_that_it_knows_are_loaded(bench: Bench) -> None:
    assert bench.launcher.is_loaded("busy", DAYS.first, DAYS.last)
    assert not bench.launcher.is_loaded("nobody", DAYS.first, DAYS.last)
    assert not bench.launcher.is_loaded("busy", date(2000, 1, 1), DAYS.last)


def test_a_command_is_launched_runs_and_is_over(bench: Bench, command: AcceptedCommand) -> None:
    assert not bench.launcher.is_launched(command)
    bench.launcher.launch(command)
    bench.begin(command)
    assert bench.launcher.is_launched(command)
    assert not bench.launcher.is_over(command)
    bench.end(command)
    assert bench.launcher.is_over(command)
    assert bench.launcher.dead_runs(command) == []
    assert bench.launcher.outcome(command).status == "success"


def test_what_is_launched_twice_runs_once(bench: Bench, command: AcceptedCommand) -> None:
    for _ in range(2):
        bench.launcher.launch(command)
    bench.begin(command)
    bench.end(command)
    assert bench.launcher.is_over(command)
    assert not bench.launcher.is_launched(accepted(command.last, id_="another"))


def test_a_run_that_died_is_launched_again_once(bench: Bench, command: AcceptedCommand) -> None:
    bench.launcher.launch(command)
    bench.begin(command)
    bench.die(command)
    (dead,) = bench.launcher.dead_runs(command)
    bench.launcher.launch_again(dead)
    bench.begin(command)
    assert bench.launcher.dead_runs(command) == []
    bench.end(command)
    assert bench.launcher.is_over(command)
    assert bench.launcher.outcome(command).status == "success"


def test_a_run_that_died_and_is_not_launched_again_failed(bench: Bench, command: AcceptedCommand) -> None:
    bench.launcher.launch(command)
    bench.begin(command)
    bench.die(command)
    found = bench.launcher.outcome(command)
    assert (found.status, found.error_type) == ("failed", "RunDied")


def test_nothing_more_of_a_canceled_command_runs(bench: Bench) -> None:
    command = accepted(DAYS.last)
    bench.launcher.launch(command)
    bench.launcher.cancel(command)
    bench.end(command)
    assert bench.launcher.dead_runs(command) == []
    assert bench.launcher.outcome(command).status == "canceled"
