"""Each process of `tg-pipeline up`, and its Redis, is killed; afterwards commands are carried out as before."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Literal
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.events import RunFailureReason
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG

from tg_pipeline.app.commands import command_queue
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.runs import COMMAND_TAG
from tg_pipeline.dagster_client.workers import worker_of
from tg_pipeline.machine.lease import look
from tg_pipeline.simulator import Latency
from tg_pipeline_tests.chaos.operating import lay_home
from tg_pipeline_tests.chaos.redis_that_dies import MortalRedis, mortal_redis
from tg_pipeline_tests.chaos.tree import SERVICES, Role, Tree
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, account, plain_world

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trees")]

Part = Literal["run", "redis"] | Role
PARTS: tuple[Part, ...] = (*SERVICES, "run", "redis")
UNDER_WAY = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES])
SECONDS = 240.0


@dataclass
class Stage:
    """A tree on its own instance, a Telegram, and a Redis that keeps what it was given."""

    tree: Tree
    account: Account
    redis: MortalRedis
    queue: CommandQueue
    instance: dg.DagsterInstance

    def kill(self, *parts: Part) -> None:
        """Kill them at once, a run while it waits for Telegram. Redis is started again."""
        pids = {pid for role in SERVICES if role in parts for pid in self.tree.pids(role)}
        if "run" in parts:
            self.account.simulator.faults.add(Latency(method="messages.getHistory", ms=600_000))
            self.push()
            self.wait(lambda: len(self._reading()) == 1)
            pids.add(self.tree.holder(self._reading()[0]))
        if "redis" in parts:
            self.redis.stop()
        self.tree.kill(pids)
        self.redis.start()
        self.account.simulator.faults.clear()

    def kill_starting_run(self) -> str:
        """Kill the inner code server and the process of a run that was launched and has not begun; the run."""
        self.push()
        self.wait(lambda: any(self._starting().values()))
        ((run, pid),) = self._starting().items()
        assert pid is not None
        self.tree.kill({pid} | self.tree.pids("inner code server"))
        return run

    def assert_it_works(self) -> None:
        """A command that is sent now is carried out, and nothing of what was killed is left open."""
        id_ = self.push()
        self.wait(lambda: "ended" in (self.queue.show(id_) or {}))
        assert (self.queue.show(id_) or {})["ended"]["event"] == "completed", self.tree.log()
        self.wait(lambda: not self.instance.get_runs_count(UNDER_WAY))
        self.wait(lambda: not any(self.queue.counts().values()))
        self.wait(lambda: all(len(self.tree.pids(role)) == 1 for role in SERVICES))

    def push(self, **fields: str) -> str:
        id_ = str(uuid4())
        days = fields or {"mode": "date", "date": str(FIRST_DAY)}
        self.queue.push(json.dumps({"command": "fetch", "command_id": id_, "chat": "@busy", **days}))
        return id_

    def _starting(self) -> dict[str, int | None]:
        starting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])
        return {run.run_id: worker_of(self.instance, run.run_id) for run in self.instance.get_runs(starting)}

    def _reading(self) -> list[str]:
        runs = [run.run_id for run in self.instance.get_runs(UNDER_WAY)]
        return [run for run in runs if look(self.tree.home / "runs", run) == "held"]

    def wait(self, condition: Callable[[], bool]) -> None:
        assert wait_until(condition, SECONDS), self.tree.log()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("up")
    (directory / "redis").mkdir()
    register(directory, "busy")
    with (
        mortal_redis(directory / "redis", keeps=True) as redis,
        account(plain_world(), directory, redis_url=redis.url) as found,
    ):
        lay_home(found.settings.home)
        temporary = directory / "t"
        temporary.mkdir()
        environment = environment_of(found) | {"REDIS_URL": redis.url, "TMPDIR": str(temporary)}
        tree = Tree(found.settings.home, environment, directory / "log")
        with open_instance(found.settings) as instance:
            queue = command_queue(found.settings)
            try:
                tree.start()
                yield Stage(tree, found, redis, queue, instance)
                tree.terminate(tree.top())
                assert not list(temporary.iterdir()), "who was killed left something, as a code server its socket"
            finally:
                tree.end()
                queue.close()


@pytest.mark.parametrize("part", PARTS)
def test_the_pipeline_recovers_from_the_death_of_one_process(stage: Stage, part: Part) -> None:
    stage.kill(part)
    stage.assert_it_works()


def test_a_run_that_dies_with_the_code_server_while_it_starts_gives_back_its_slot(stage: Stage) -> None:
    run = stage.kill_starting_run()
    stage.assert_it_works()
    found = stage.instance.get_run_by_id(run)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE
    assert found.tags.get(RUN_FAILURE_REASON_TAG) != RunFailureReason.START_TIMEOUT.value, (
        "Dagster's own time limit came first"
    )


def test_an_inner_code_server_that_is_killed_while_it_loads_is_started_again(stage: Stage) -> None:
    loaded = stage.tree.pids("inner code server")
    stage.tree.kill(loaded)
    stage.wait(lambda: bool(stage.tree.pids("inner code server") - loaded))
    stage.tree.kill(stage.tree.pids("inner code server"))
    stage.assert_it_works()


def test_runs_wait_in_the_queue_while_the_code_server_is_away(stage: Stage) -> None:
    id_ = stage.push(
        mode="range", **{"from": str(FIRST_DAY), "to": str(FIRST_DAY + timedelta(days=2))}, strategy="per_day"
    )
    of_command = dg.RunsFilter(tags={COMMAND_TAG: id_})
    stage.wait(lambda: stage.instance.get_runs_count(of_command) == 3)
    stage.kill("inner code server", "outer code server")
    stage.wait(lambda: "ended" in (stage.queue.show(id_) or {}))
    assert (stage.queue.show(id_) or {})["ended"]["event"] == "completed", stage.tree.log()
    failed = stage.instance.get_run_records(
        dg.RunsFilter(tags={COMMAND_TAG: id_}, statuses=[dg.DagsterRunStatus.FAILURE])
    )
    assert all(record.start_time for record in failed), "one failed that had not begun"


@pytest.mark.nightly
@pytest.mark.parametrize("parts", list(combinations(PARTS, 2)), ids=" and ".join)
def test_the_pipeline_recovers_from_the_death_of_two_processes(stage: Stage, parts: tuple[Part, Part]) -> None:
    stage.kill(*parts)
    stage.assert_it_works()
