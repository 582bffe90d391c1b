"""Runs that die, in the whole tree of `tg-pipeline up`, and what clients read of them."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from tg_pipeline.app.archive import open_archive
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.machine.lease import look
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline.simulator import Latency
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.chaos.tree import Tree
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import launch
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import Account, account, first_days, plain_world

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trees")]

IN_TWO_RUNS, IN_ONE = (f"{n * 8}-0000-4000-8000-000000000000" for n in "12")
DAYS = list(first_days(4))
SECONDS = 400.0


@dataclass
class Scene:
    """The tree of one account, with the queue that it reads."""

    account: Account
    tree: Tree
    queue: CommandQueue
    instance: dg.DagsterInstance
    log: Path

    def until(self, what: Callable[[], object]) -> None:
        assert wait_until(lambda: bool(what()), SECONDS), (self.queue.events(), self.log.read_text()[-5_000:])

    def ends(self, id_: str) -> list[str]:
        """The command's events but for progress."""
        reported = [event for _, event in self.queue.events() if event["command_id"] == id_]
        return [event["event"] for event in reported if event["event"] != "progress"]

    def push(self, command_id: str, **fields: object) -> None:
        self.queue.push(json.dumps({"command": "fetch", "chat": "@busy", "command_id": command_id} | fields))

    @contextmanager
    def hanging(self, begin: Callable[[], object]) -> Iterator[str]:
        """Begin a run, and have Telegram keep it waiting for the block; the run's id."""
        self.account.simulator.faults.add(Latency(method="messages.getHistory", ms=600_000))
        begin()
        self.until(self._reading)
        yield self._reading()[0]
        self.account.simulator.faults.clear()

    def _reading(self) -> list[str]:
        running = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        return [run.run_id for run in running if look(self.tree.home / "runs", run.run_id) == "held"]


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    register(directory, "busy")
    home, log = directory / "instance", directory / "log"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    with (
        local_redis(directory / "redis") as url,
        account(plain_world(), directory, redis_url=url) as found,
        open_instance(found.settings) as instance,
    ):
        tree, queue = Tree(home, environment_of(found) | {"REDIS_URL": url}, log), CommandQueue(url)
        try:
            tree.start()
            yield Scene(found, tree, queue, instance, log)
        finally:
            tree.end()
            queue.close()


def test_runs_that_die_go_on_by_themselves(tmp_path: Path) -> None:
    with scene(tmp_path) as found:
        two_days = {"mode": "range", "from": str(DAYS[0]), "to": str(DAYS[1]), "strategy": "per_day"}
        with found.hanging(lambda: found.push(IN_TWO_RUNS, **two_days)):
            found.tree.terminate(found.tree.top())
        found.tree.start()
        found.until(lambda: "completed" in found.ends(IN_TWO_RUNS))

        with found.hanging(lambda: found.push(IN_ONE, mode="date", date=str(DAYS[2]))) as run:
            os.kill(found.tree.holder(run), signal.SIGKILL)
        found.until(lambda: "completed" in found.ends(IN_ONE))

        with found.hanging(lambda: launch(found.tree.url, "busy", DayRange(DAYS[3], DAYS[3]))) as by_hand:
            os.kill(found.tree.holder(by_hand), signal.SIGKILL)
        found.until(lambda: "completed" in found.ends(by_hand))

        assert [found.ends(id_) for id_ in (IN_TWO_RUNS, IN_ONE, by_hand)] == [["started", "completed"]] * 3
        assert list(open_archive(found.account.settings).days("busy")) == DAYS
        attempts = Counter(run.tags.get("tg/command_id", by_hand) for run in found.instance.get_runs())
        assert attempts == {IN_TWO_RUNS: 3, IN_ONE: 2, by_hand: 2}


@pytest.mark.xdist_group("stop while submitting")
def test_a_stop_fails_no_command_whose_runs_are_being_submitted(tmp_path: Path) -> None:
    days = list(first_days(8))
    with scene(tmp_path) as found:
        found.push(IN_ONE, mode="range", **{"from": str(days[0]), "to": str(days[-1])}, strategy="per_day")
        found.until(lambda: found.instance.get_runs_count() > 2)
        found.tree.terminate(found.tree.top())
        assert found.instance.get_runs_count() < len(days), "they were all submitted"
        found.tree.start()
        found.until(lambda: len(found.ends(IN_ONE)) > 1)

        assert found.ends(IN_ONE) == ["started", "completed"]
        assert list(open_archive(found.account.settings).days("busy")) == days
        assert "Traceback" not in found.log.read_text()
