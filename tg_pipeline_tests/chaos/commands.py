"""`python -m tg_pipeline_tests.chaos.commands --seed N`: a hundred commands, and thirty SIGKILLs on the way.

They hit Dagster's daemon, runs, and Redis, which comes back with its append-only file.

Who sends the commands is a client as they are: it pushes again what it has no answer for, under the same id, and asks
anew, under a new one, for what has failed.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import click
import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from tg_pipeline.app.archive import open_archive
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.events import Event
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.runs import ATTEMPT_TAG, COMMAND_TAG
from tg_pipeline.machine.lease import look
from tg_pipeline.simulator import Latency, Simulator, World
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.chaos.operating import QUICKER, lay_home
from tg_pipeline_tests.chaos.redis_that_dies import MortalRedis, mortal_redis
from tg_pipeline_tests.chaos.schedule import HISTORY
from tg_pipeline_tests.chaos.tree import Tree
from tg_pipeline_tests.defs.pipeline import environment_of, register
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, first_days, world_of

CHATS = tuple(f"chat{n}" for n in range(10))
COMMANDS_A_CHAT = 10
SESSIONS = 5
PER_DAY = 20
DAYS = 20
LATENCY_MS = 1_500
"""Of each page: so that kills meet runs that read."""
SECONDS = 1_800.0
LOOK_SECONDS = 0.05
AHEAD = 40
"""Commands that the client has sent before it waits for the first to end."""

Kind = Literal["daemon", "run", "redis"]
KILLS: dict[Kind, int] = {"daemon": 6, "run": 12, "redis": 12}


@dataclass(frozen=True)
class Ask:
    """A command as the client sends it, and how many runs it comes to."""

    id: str
    chat: str
    days: DayRange
    strategy: str
    runs: int

    def text(self) -> str:
        one = len(self.days) == 1
        days = {"date": str(self.days.first)} if one else {"from": str(self.days.first), "to": str(self.days.last)}
        whole = {"command": "fetch", "command_id": self.id, "chat": f"@{self.chat}", "mode": "date" if one else "range"}
        return json.dumps(whole | days | {"strategy": self.strategy})


@dataclass(frozen=True)
class Hit:
    """SIGKILL, `delay` seconds after so many commands have ended. A Redis is back after `down` seconds."""

    kind: Kind
    ended: int
    delay: float
    down: float


@dataclass(frozen=True)
class Plan:
    """What a seed comes to."""

    seed: int
    asks: tuple[Ask, ...]
    hits: tuple[Hit, ...]


def draw(seed: int) -> Plan:
    """Of each chat's commands one is a range, of a run for each day or of one for all; the others are single days."""
    rng = random.Random(f"commands {seed}")
    asks = []
    for chat in CHATS:
        ranges = rng.sample(range(COMMANDS_A_CHAT), 1)
        for number in range(COMMANDS_A_CHAT):
            length = rng.randrange(2, 5) if number in ranges else 1
            first = FIRST_DAY + timedelta(rng.randrange(DAYS - length + 1))
            strategy = rng.choice(("batch", "per_day"))
            runs = length if strategy == "per_day" else 1
            days = DayRange(first, first + timedelta(length - 1))
            asks.append(Ask(str(UUID(int=rng.getrandbits(128))), chat, days, strategy, runs))
    rng.shuffle(asks)
    kinds: list[Kind] = [kind for kind, count in KILLS.items() for _ in range(count)]
    rng.shuffle(kinds)
    moments = sorted(rng.sample(range(len(asks) - 5), len(kinds)))
    hits = (Hit(k, m, rng.uniform(0, 4), rng.uniform(0.2, 5)) for k, m in zip(kinds, moments, strict=True))
    return Plan(seed, tuple(asks), tuple(hits))


@dataclass
class Client:
    """Sends the commands, and reads the stream of events."""

    queue: CommandQueue
    unsent: list[Ask]
    sent: dict[str, Ask] = field(default_factory=dict)
    reported: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, Event] = field(default_factory=dict)
    pushes: int = 0
    cursor: str = "0-0"

    def work(self, rng: random.Random) -> None:
        """What can be done while Redis is there."""
        with suppress(StateUnavailable):
            self._listen(rng)
            while self.unsent and len(self.sent) - len(self.ended) < AHEAD:
                self.pushes += 1
                self.queue.push(self.unsent[0].text())
                ask = self.unsent.pop(0)
                self.sent[ask.id] = ask

    def is_done(self) -> bool:
        return not self.unsent and len(self.ended) >= len(self.sent)

    def _listen(self, rng: random.Random) -> None:
        found = self.queue.events(self.cursor)
        self.cursor = found[-1][0] if found else self.cursor
        for _, given in found:
            event = Event.model_validate(given)
            self.reported[event.command_id].append(event)
            if event.event in {"completed", "failed"} and event.command_id not in self.ended:
                self.ended[event.command_id] = event
                if event.event == "failed" and event.command_id in self.sent:
                    again = replace(self.sent[event.command_id], id=str(UUID(int=rng.getrandbits(128))))
                    self.unsent.append(again)

    def findings(self) -> Iterator[str]:
        """What is wrong with what was told."""
        yield from (f"events of nobody's command {id_}" for id_ in self.reported if id_ not in self.sent)
        for id_, ask in self.sent.items():
            names = [event.event for event in self.reported[id_] if event.status != "duplicate"]
            counts = Counter(names)
            if counts["started"] != 1 or counts["completed"] + counts["failed"] != 1:
                yield f"{ask} was told of as {dict(counts)}"
            elif names[0] != "started" or names[-1] == "progress":
                yield f"{ask} was told of in this order: {names}"
            elif counts["completed"] and self.ended[id_].processed != PER_DAY * len(ask.days):
                yield f"{ask} processed {self.ended[id_].processed} messages"


class Campaign:
    """Plays a plan, on an instance in `home`."""

    def __init__(self, plan: Plan, home: Path, simulator: Simulator, redis: MortalRedis) -> None:
        self.plan, self.redis = plan, redis
        sessions = [simulator.new_session() for _ in range(SESSIONS)]
        self.account = Account(simulator, home, sessions=sessions)
        instance_home = self.account.settings.home
        lay_home(instance_home)
        register(home, *CHATS)
        own = {"REDIS_URL": redis.url, "FETCH_CONCURRENCY": str(SESSIONS)}
        self.tree = Tree(instance_home, environment_of(self.account) | QUICKER | own, home / "log")
        self.rng = random.Random(plan.seed)
        self.client = Client(CommandQueue(redis.url), list(plan.asks))
        self.instance = open_instance(self.account.settings)
        self.hits = list(plan.hits)
        self.killed: Counter[Kind] = Counter()
        self.starts = 0
        self.troubles: list[str] = []
        self._due: float | None = None
        self._redis_back = 0.0

    def run(self) -> None:
        give_up = time.monotonic() + SECONDS
        while not (self.client.is_done() and self._is_quiet()):
            if not self.tree.is_up():
                self.starts += 1
                self.tree.start()
            self.client.work(self.rng)
            self._kill()
            if time.monotonic() > give_up:
                self.troubles.append(f"it never ends: {self._open()}")
                return
            time.sleep(LOOK_SECONDS)

    def end(self) -> None:
        self.tree.end()
        self.client.queue.close()
        self.instance.dispose()

    def findings(self) -> Iterator[str]:
        """What is wrong now that all is done."""
        yield from self.troubles
        yield from (f"{hit} never came" for hit in self.hits)
        yield from self.client.findings()
        first_attempts = [run for run in self.instance.get_runs() if run.tags.get(ATTEMPT_TAG, "0") == "0"]
        runs = Counter(run.tags.get(COMMAND_TAG, "nobody") for run in first_attempts)
        for id_, ask in self.client.sent.items():
            completed = id_ in self.client.ended and self.client.ended[id_].event == "completed"
            if runs[id_] > ask.runs or (completed and runs[id_] < ask.runs):
                yield f"{ask} was carried out in {runs[id_]} runs"
        yield from (f"runs for nobody's command {id_}" for id_ in runs if id_ not in self.client.sent)
        yield from self._wrong_files()

    def _wrong_files(self) -> Iterator[str]:
        settings = self.account.settings
        found = {path: data for path, data in self.account.files().items() if "/" in path}
        expected = _undisturbed({(ask.chat, day) for ask in self.plan.asks for day in map(str, ask.days)})
        yield from (f"{path} is not as undisturbed" for path in expected if found.get(path) != expected[path])
        yield from (f"{path} should not be there" for path in found if path not in expected)
        today = datetime.now(UTC).date()
        for chat in CHATS:
            store = open_archive(settings)
            for day in store.days(chat):
                problems = store.verify_chat(chat, days=DayRange(day, day), today=today)
                yield from (f"verify: {problem}" for problem in problems)

    def _is_quiet(self) -> bool:
        """Whether nobody has anything to do any more."""
        try:
            counts = self.client.queue.counts()
        except StateUnavailable:
            return False
        under_way = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
        return not any(counts.values()) and not self.instance.get_runs_count(dg.RunsFilter(statuses=under_way))

    def _open(self) -> str:
        asks = [str(ask) for id_, ask in self.client.sent.items() if id_ not in self.client.ended]
        runs = [(run.run_id, run.status.value) for run in self.instance.get_runs() if not run.is_finished]
        return f"{self.client.queue.counts()}; {asks}; {runs}"

    def _kill(self) -> None:
        if self.redis.process is None and time.monotonic() > self._redis_back:
            self.redis.start()
        if not self.hits or len(self.client.ended) < self.hits[0].ended:
            return
        hit = self.hits[0]
        self._due = self._due or time.monotonic() + hit.delay
        if time.monotonic() < self._due:
            return
        victims: dict[Kind, Callable[[], bool]] = {
            "daemon": self._kill_daemon,
            "run": self._kill_run,
            "redis": lambda: self._kill_redis(hit.down),
        }
        if victims[hit.kind]():
            self.killed[hit.kind] += 1
            self.hits.pop(0)
            self._due = None

    def _kill_daemon(self) -> bool:
        pids = self.tree.pids("daemon")
        self.tree.kill(pids)
        return bool(pids)

    def _kill_run(self) -> bool:
        directory = self.tree.home / "runs"
        started = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        alive = sorted(run.run_id for run in started if look(directory, run.run_id) == "held")
        if alive:
            self.tree.kill({self.tree.holder(self.rng.choice(alive))})
        return bool(alive)

    def _kill_redis(self, down: float) -> bool:
        if self.redis.process is None:
            return False
        self.redis.stop()
        self._redis_back = time.monotonic() + down
        return True


@dataclass
class Played:
    """What came of it; `broken` are sentences, none where all held."""

    plan: Plan
    kills: Counter[Kind]
    facts: list[str]
    broken: list[str]

    def __str__(self) -> str:
        kills = ", ".join(f"{self.kills[kind]} of {kind}" for kind in KILLS)
        result = "; ".join(self.broken) or "ok"
        return (
            f"seed {self.plan.seed}: {len(self.plan.asks)} commands, kills: {kills}, {', '.join(self.facts)} | {result}"
        )


def play(seed: int) -> Played:
    """Play what is drawn from the seed to its end."""
    plan, began = draw(seed), time.monotonic()
    with _campaign(plan) as campaign:
        campaign.run()
        client = campaign.client
        facts = [
            f"{client.pushes} pushes",
            f"{len(client.sent) - len(plan.asks)} asked for anew after they failed",
            f"{sum(map(len, client.reported.values()))} events",
            f"{campaign.instance.get_runs_count()} runs",
            f"{campaign.starts} starts by hand",
            f"{time.monotonic() - began:.0f} s",
        ]
        return Played(plan, campaign.killed, facts, list(campaign.findings()))


@contextmanager
def _campaign(plan: Plan) -> Iterator[Campaign]:
    with tempfile.TemporaryDirectory(prefix="tg-pipeline-chaos-") as directory, ExitStack() as stack:
        home = Path(directory)
        simulator = stack.enter_context(Simulator(_world()))
        simulator.faults.add(Latency(method=HISTORY, ms=LATENCY_MS))
        campaign = Campaign(plan, home, simulator, stack.enter_context(mortal_redis(home, keeps=True)))
        try:
            yield campaign
        finally:
            campaign.end()


def _world() -> World:
    last = first_days(DAYS).last
    return world_of(*(synthetic_chat(chat, per_day=PER_DAY, first_day=FIRST_DAY, last_day=last) for chat in CHATS))


def _undisturbed(asked: set[tuple[str, str]]) -> dict[str, bytes]:
    """The files of the days asked for, fetched by nobody who was disturbed."""
    with tempfile.TemporaryDirectory() as directory, Simulator(_world()) as simulator:
        account = Account(simulator, Path(directory))
        for chat in CHATS:
            assert account.fetch(chat, first_days(DAYS)).messages == PER_DAY * DAYS
        files = account.files()
    return {path: files[path] for path in files if (path.split("/")[0], path[-15:-5]) in asked}


@click.command()
@click.option("--seed", type=int, default=0, show_default=True)
def main(*, seed: int) -> None:
    """Play a seed and say what came of it."""
    played = play(seed)
    click.echo(str(played))
    sys.exit(bool(played.broken))


if __name__ == "__main__":
    main()
