"""From a command on the list to the asset that fetches, beside a run launched by hand, in the same Dagster."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.webserver import ask
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.defs.servers import launch, serving
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import account, world_of

ROUNDS = 12
BACKFILLS = 3
SECONDS = 180.0
START = date(2024, 1, 1)

_TICKS = """
{
  sensorOrError(sensorSelector: {
    repositoryLocationName: "tg_pipeline", repositoryName: "__repository__", sensorName: "commands"
  }) {
    ... on Sensor { sensorState { ticks(limit: 1000) { timestamp endTimestamp runIds } } }
    ... on SensorNotFoundError { message }
    ... on PythonError { message }
  }
}
"""


@dataclass(frozen=True)
class Place:
    """A running Dagster that reads the commands of a Redis."""

    url: str
    queue: CommandQueue

    def from_command(self, days: DayRange) -> float:
        """Seconds from the push to the event `started`, which the asset publishes."""
        id_ = str(uuid4())
        wanted = {"mode": "date", "date": str(days.first)}
        if len(days) > 1:
            wanted = {"mode": "range", "from": str(days.first), "to": str(days.last)}

        def push() -> str:
            text = {"command": "fetch", "chat": "@busy", "options": {"force": True}, "command_id": id_, **wanted}
            self.queue.push(json.dumps(text))
            return id_

        return self._until_started(push)

    def by_hand(self, days: DayRange) -> float:
        """Seconds from the launch of a run, as the UI does it, to its event `started`."""
        return self._until_started(lambda: launch(self.url, "busy", days))

    def ticks(self) -> list[dict[str, Any]]:
        """Those of the sensor, the newest first."""
        ticks: list[dict[str, Any]] = ask(self.url, _TICKS)["sensorState"]["ticks"]
        return [tick for tick in ticks if tick["endTimestamp"]]

    def _until_started(self, begin: Callable[[], str]) -> float:
        since = self.queue.last_entry()
        began = time.time()
        id_ = begin()
        times: dict[str, float] = {}

        def ended() -> bool:
            for _, event in self.queue.events(since):
                if event["command_id"] == id_:
                    times[event["event"]] = datetime.fromisoformat(event["ts"]).timestamp()
            return "completed" in times

        if not wait_until(ended, SECONDS):
            raise RuntimeError(f"A run did not complete in {SECONDS:.0f} s: {times}")
        return times["started"] - began


def measure(*, quick: bool) -> Group:
    """Medians of rounds of each way in turn, one at a time, all else being idle."""
    rounds, backfills = (1, 1) if quick else (ROUNDS, BACKFILLS)
    commands: list[float] = []
    by_hand: list[float] = []
    with _place() as place:
        for number in range(rounds):
            day = START + timedelta(number)
            commands.append(place.from_command(DayRange(day, day)))
            by_hand.append(place.by_hand(DayRange(day, day)))
        ranges = [DayRange(START, START + timedelta(3 + number)) for number in range(backfills)]
        batches = [place.from_command(days) for days in ranges]
        ticks = place.ticks()
    lasted = _durations(ticks)
    note = f"{rounds} of each kind, {backfills} backfills, one after the other on an idle Dagster; s"
    return Group(
        [
            Table("from the push to the asset", note, _rows(commands, by_hand, batches)),
            Table(
                "ticks of the sensor `commands`",
                "by Dagster's own history of ticks; s",
                [
                    {"tick": "launches a run", **_spread(lasted[True])},
                    {"tick": "launches none", **_spread(lasted[False])},
                ],
            ),
        ],
        [Aim("the tick that launches a command: under 1 s", median(lasted[True]), median(lasted[True]) < 1)],
    )


def _durations(ticks: list[dict[str, Any]]) -> dict[bool, list[float]]:
    lasted: dict[bool, list[float]] = {True: [], False: []}
    for tick in ticks:
        lasted[bool(tick["runIds"])].append(tick["endTimestamp"] - tick["timestamp"])
    return lasted


def _rows(commands: list[float], by_hand: list[float], batches: list[float]) -> list[Row]:
    return [
        {"way": "command of one day: a run", **_spread(commands)},
        {"way": "the same run launched by hand (Dagster's own floor)", **_spread(by_hand)},
        {"way": "command of more days: a backfill", **_spread(batches)},
    ]


def _spread(seconds: list[float]) -> Row:
    return {"number": len(seconds), "median": median(seconds), "least": min(seconds), "most": max(seconds)}


@contextmanager
def _place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "instance").mkdir()
        (home / "instance" / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
        register(home, "busy", start=START)
        world = world_of(synthetic_chat("busy", per_day=5, first_day=START, last_day=START + timedelta(30)))
        with local_redis(home / "redis") as redis_url, account(world, home, redis_url=redis_url) as found:
            environment = environment_of(found) | {"REDIS_URL": redis_url}
            with serving("dagster", "dev", environment=environment, log=home / "log") as url:
                queue = CommandQueue(redis_url)
                place = Place(url, queue)
                place.from_command(DayRange(START, START))  # after Dagster has started all it starts
                yield place
                queue.close()
