"""Playing a schedule with the whole of Dagster, and the person who runs it.

The person starts the tree again when it is down, launches a run again that failed or was canceled unless Dagster does,
and makes room on a full disk. A run that says that it will try again later is terminated and launched anew, as somebody
in a hurry would.
What hangs, hangs: nobody helps it.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG

from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.dagster_client.webserver import WebserverError
from tg_pipeline.machine.lease import look
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline_tests.chaos.scene import Scene
from tg_pipeline_tests.chaos.schedule import Event, Kind
from tg_pipeline_tests.chaos.tree import Tree
from tg_pipeline_tests.defs.pipeline import register
from tg_pipeline_tests.defs.servers import launch, terminate
from tg_pipeline_tests.telegram_account import first_days

STARTS = 12
SECONDS = 600.0
"""Of a tree that hangs; far more than a busy machine makes of the minute that a schedule takes."""
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 8.0
"""How long nothing may be asked of the simulator before somebody looks whether a run sits out a pause."""
QUICKER = {"BACKOFF_BASE_SECONDS": "0.05", "BACKOFF_MAX_SECONDS": "0.5", "FETCH_CONCURRENCY": "2"}


def lay_home(home: Path) -> None:
    """Make the instance home, with the dagster.yaml that is shipped."""
    home.mkdir(parents=True)
    (home / "dagster.yaml").symlink_to(PROJECT_DIRECTORY / "dagster.yaml")


@dataclass
class Lane:
    """One chat: a run after the other until one succeeds."""

    chat: str
    run: str = ""
    starts: int = 0
    done: bool = False


class Operator:
    """Works on the scene until all chats are fetched."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        home = scene.account.settings.home
        lay_home(home)
        register(scene.account.home, *scene.chats)
        self.lanes = [Lane(chat) for chat in scene.chats]
        self.tree = Tree(home, scene.environment | QUICKER, scene.account.home / "log")
        self.instance = open_instance(scene.account.settings)
        self._calls, self._last_call = 0, time.monotonic()

    @property
    def starts(self) -> int:
        return sum(lane.starts for lane in self.lanes)

    def run(self) -> None:
        give_up = time.monotonic() + SECONDS
        while not (all(lane.done for lane in self.lanes) and self._all_ended()):
            if not self.tree.is_up():
                self.tree.start()
            for lane in self.lanes:
                self._tend(lane)
            self._happen()
            if time.monotonic() > give_up or any(lane.starts > STARTS for lane in self.lanes):
                self.scene.troubles.append("it never ends")
                return
            self.scene.pause(LOOK_SECONDS)
        self.scene.troubles += [f"{event} never came" for event in self.scene.events]
        days = {str(day) for day in first_days(self.scene.schedule.shape[1])}
        for lane in self.lanes:
            self.scene.troubles += [f"{lane.chat}/{day} is not green" for day in days - self._green(lane.chat)]

    def end(self) -> None:
        self.tree.end()
        self.instance.dispose()

    def _all_ended(self) -> bool:
        """Also of runs whose launch was answered by nobody."""
        under_way = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
        return not self.instance.get_runs_count(dg.RunsFilter(statuses=under_way))

    def _green(self, chat: str) -> set[str]:
        return set(self.instance.get_materialized_partitions(messages_key(chat)))

    def _tend(self, lane: Lane) -> None:
        if lane.done:
            return
        run = self.instance.get_run_by_id(lane.run) if lane.run else None
        if run is None:
            self._launch(lane)
        elif run.is_finished and not run.is_complete_and_waiting_to_retry:
            self.scene.troubles += self.scene.ahead(lane.chat, self._green(lane.chat))
            lane.run, lane.done = run.tags.get(AUTO_RETRY_RUN_ID_TAG, ""), run.is_success
            if self.scene.disk:
                self.scene.disk.free()
        elif self._is_idle() and self._pauses(lane.run):
            self._cancel(lane.run)

    def _launch(self, lane: Lane) -> None:
        try:
            lane.run = launch(self.tree.url, lane.chat, first_days(self.scene.schedule.shape[1]))
        except WebserverError:
            return  # the code server is not back yet
        lane.starts += 1

    def _cancel(self, run: str) -> None:
        try:
            terminate(self.tree.url, run)
        except WebserverError:
            return  # as above, or the run has just ended
        self._last_call = time.monotonic()

    def _is_idle(self) -> bool:
        calls = len(self.scene.simulator.journal)
        if calls != self._calls:
            self._calls, self._last_call = calls, time.monotonic()
        return time.monotonic() - self._last_call > PATIENCE_SECONDS

    def _pauses(self, run: str) -> bool:
        """Whether the last that a run said of its step is that it will try again."""
        steps = {dg.DagsterEventType.STEP_UP_FOR_RETRY, dg.DagsterEventType.STEP_RESTARTED}
        said = self.instance.all_logs(run, of_type=steps)
        return bool(said) and said[-1].dagster_event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY

    def _happen(self) -> None:
        """The first event whose time has come, where there is somebody to be hit: a run whose process lives."""
        for event in self.scene.due()[:1]:
            held = [lane.run for lane in self.lanes if lane.run and look(self.tree.home / "runs", lane.run) == "held"]
            if held:
                self.scene.events.remove(event)
                self.scene.hit()
                self._hit(event, held[0])

    def _hit(self, event: Event, run: str) -> None:
        tree, redis, disk = self.tree, self.scene.redis, self.scene.disk
        hits: dict[Kind, Callable[[], object]] = {
            "kill": lambda: tree.kill({tree.holder(run)}),
            "terminate": lambda: os.kill(tree.holder(run), signal.SIGTERM),
            "kill run and code server": lambda: tree.kill({tree.holder(run), *tree.pids("code server")}),
            "kill daemon": lambda: tree.kill(tree.pids("daemon")),
            "kill tree": lambda: tree.kill(tree.pids()),
            "terminate up": lambda: tree.terminate(tree.top()),
            "terminate tree": lambda: tree.terminate(tree.pids()),
            "cancel": lambda: self._cancel(run),
        }
        hits |= {"stop redis": redis.stop, "start redis": redis.start} if redis else {}
        hits |= {"fill disk": disk.fill} if disk else {}
        if hit := hits.get(event.kind):
            hit()
        else:
            self.scene.notes.append("this machine allows no small disk to fill")
