"""Playing one schedule, and holding what came of it against what must hold."""

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import redis

from tg_pipeline.bootstrap.archive import day_store, progress
from tg_pipeline.contracts.policy import BreakerPolicy
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.defs.instance import open_instance
from tg_pipeline.defs.names import messages_key
from tg_pipeline.resilience.breaker import parse
from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.journal import Entry
from tg_pipeline.simulator.worlds import synthetic_chat
from tg_pipeline.state.redis_server import find_redis_server
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.state.tether import tethered
from tg_pipeline.storage.verify import verify
from tg_pipeline_tests.chaos.accelerated import SPEED, steady
from tg_pipeline_tests.chaos.schedule import Event, Schedule
from tg_pipeline_tests.defs.pipeline import INSTANCE_FILE, environment_of, register
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, first_days, world_of

CHATS = ("busy", "other")
STARTS = 40
SECONDS = 240.0
IN_FLIGHT_SECONDS = 0.2
"""Real ones: a call that was on its way when the flood before it was answered."""
LEARNED_SECONDS = 0.3
"""Real ones, after which a process that lives has written down what it was told."""
LEGAL = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
FLOOD = re.compile(r"FLOOD_(?:PREMIUM_)?WAIT_(\d+)")
RUN = """
import sys, dagster, tg_pipeline.definitions as definitions
job, first, last = sys.argv[1:]
definitions.defs.resolve_job_def(job).execute_in_process(
    instance=dagster.DagsterInstance.get(),
    tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
)
"""
SETTINGS = {
    "RATE_LIMIT_STRATEGY": "adaptive",
    "RATE_LIMIT_PER_SECOND": "4",
    "RATE_LIMIT_BURST": "6",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "4",
    "CIRCUIT_BREAKER_OPEN_TIMEOUT_SECONDS": "5",
    "CALL_DEADLINE_SECONDS": "1",
    "LEASE_WAIT_SECONDS": "30",
}


@dataclass
class Lane:
    """One chat's fetch: a process after the other until it is done."""

    chat: str
    process: "subprocess.Popen[str] | None" = None
    starts: int = 0
    not_before: float = 0.0
    done: bool = False


@dataclass
class Played:
    """What came of a schedule; `broken` are sentences about invariants, empty where all held."""

    schedule: Schedule
    starts: int = 0
    calls: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        result = "; ".join(self.broken) or "ok"
        return (
            f"seed {self.schedule.seed}: {self.schedule} | {self.starts} starts, {self.calls} calls, "
            f"{self.seconds:.1f} s | {result}"
        )


def play(schedule: Schedule, *, broken: str = "") -> Played:
    """Play it to its end. `broken` names a build that is known to be wrong, to see it caught."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tg-pipeline-chaos-") as directory, ExitStack() as stack:
        home = Path(directory)
        simulator = stack.enter_context(Simulator(_world(schedule.shape), monotonic=_monotonic(schedule)))
        for fault in schedule.faults:
            simulator.faults.add(fault)
        server = stack.enter_context(_redis(home)) if schedule.redis else None
        game = _Game(schedule, simulator, home, server, broken)
        try:
            game.run()
        finally:
            game.end()
        played = Played(schedule, sum(lane.starts for lane in game.lanes), len(simulator.journal))
        played.broken = [*game.troubles, *game.findings()]
        played.seconds = time.monotonic() - began
        return played


class _Game:
    def __init__(
        self, schedule: Schedule, simulator: Simulator, home: Path, server: "_Redis | None", broken: str
    ) -> None:
        self.schedule = schedule
        self.speed = 1.0 if schedule.dagster else SPEED
        self.simulator = simulator
        self.server = server
        self.lanes = [Lane(chat) for chat in CHATS[: schedule.processes]]
        sessions = [simulator.new_session() for _ in self.lanes]
        self.account = Account(simulator, home, sessions=sessions, parallelism_max=schedule.pages_in_flight)
        self.environment = environment_of(self.account) | SETTINGS | ({"REDIS_URL": server.url} if server else {})
        self.events = list(schedule.events)
        if schedule.dagster:
            register(home, *CHATS)
            self.account.settings.home.mkdir(parents=True)
            (self.account.settings.home / "dagster.yaml").write_text(INSTANCE_FILE)
        self.troubles: list[str] = []
        self.killed: list[float] = []
        self.origin, self.began, self.broken = time.time(), steady(), broken

    def run(self) -> None:
        give_up = time.monotonic() + SECONDS
        while not all(lane.done for lane in self.lanes):
            for lane in self.lanes:
                self._tend(lane)
            self._happen()
            if time.monotonic() > give_up or any(lane.starts > STARTS for lane in self.lanes):
                self.troubles.append("it does not come to an end")
                return
            time.sleep(0.003)

    def end(self) -> None:
        for lane in self.lanes:
            if lane.process is not None:
                lane.process.kill()
                lane.process.communicate()

    def _tend(self, lane: Lane) -> None:
        if lane.done:
            return
        if lane.process is None:
            if time.monotonic() >= lane.not_before:
                self._start(lane)
        elif lane.process.poll() is not None:
            self._ended(lane, lane.process)
            lane.process = None

    def _start(self, lane: Lane) -> None:
        schedule, first = self.schedule, lane.starts == 0
        lane.starts += 1
        lane.process = subprocess.Popen(
            self._dagster(lane) if schedule.dagster else self._fetch(lane, first=first),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _dagster(self, lane: Lane) -> list[str]:
        days = first_days(self.schedule.shape[1])
        return [sys.executable, "-c", RUN, f"fetch_{lane.chat}", str(days.first), str(days.last)]

    def _fetch(self, lane: Lane, *, first: bool) -> list[str]:
        schedule = self.schedule
        spec = {
            "chat": lane.chat,
            "days": schedule.shape[1],
            "origin": self.origin,
            "began": self.began,
            "jump": schedule.jump,
            "jump_after": schedule.jump_after if first else 0,
            "disk_bytes": schedule.disk_bytes if first else 0,
            "broken": self.broken,
        }
        return [sys.executable, "-m", "tg_pipeline_tests.chaos.child", json.dumps(spec)]

    def _ended(self, lane: Lane, process: "subprocess.Popen[str]") -> None:
        said, told = process.communicate()
        if not self.schedule.dagster:  # which tells of failures in tracebacks, and of nothing by its exit code
            if process.returncode not in {0, 1, 143, -signal.SIGKILL, -signal.SIGTERM}:
                self.troubles.append(f"exit code {process.returncode}")
            if "Traceback" in told:
                self.troubles.append(f"a traceback: {told.strip().splitlines()[-1]}")
        self.troubles += self._ahead(lane.chat)
        lane.done = process.returncode == 0
        wait = json.loads(said)["wait"] if process.returncode == 1 and said and not self.schedule.dagster else 0
        lane.not_before = time.monotonic() + wait / self.speed

    def _ahead(self, chat: str) -> Iterator[str]:
        """Whether progress tells of days that are not there, at any end of a process."""
        store = day_store(self.account.settings)
        told = progress(self.account.settings).read().chats.get(chat)
        held = [header.last_message_id or 0 for day in store.days(chat) if (header := store.header(chat, day))]
        if self.schedule.dagster:
            with open_instance(self.account.settings) as instance:
                green = instance.get_materialized_partitions(messages_key(chat))
            yield from (f"{day} is green without a file" for day in green - {str(day) for day in store.days(chat)})
        if told and told.high_water_mark and told.high_water_mark > max(held, default=0):
            yield f"progress is ahead of the data: {told.high_water_mark}"

    def _happen(self) -> None:
        if not self.events:
            return
        calls = len(self.simulator.journal)
        for event in [event for event in self.events if self._is_due(event, calls)]:
            self.events.remove(event)
            match event.kind:
                case "stop redis" if self.server:
                    self.server.stop()
                case "start redis" if self.server:
                    self.server.start()
                case _:
                    number = signal.SIGKILL if event.kind == "kill" else signal.SIGTERM
                    if (process := self.lanes[0].process) is not None:
                        self.killed.append(time.time())
                        process.send_signal(number)

    def _is_due(self, event: Event, calls: int) -> bool:
        if not event.floods:
            return calls >= event.calls
        seen = [flood["ts"] for flood, _ in _floods(self.simulator.journal, self.speed)]
        return len(seen) >= event.floods and time.time() - seen[event.floods - 1] > LEARNED_SECONDS

    def findings(self) -> Iterator[str]:
        settings, days = self.account.settings, first_days(self.schedule.shape[1])
        store = day_store(settings)
        for lane in self.lanes:
            expected = _undisturbed(self.schedule.shape, lane.chat)
            files = {path: data for path, data in self.account.files().items() if path.startswith(f"{lane.chat}/")}
            yield from (f"{path} is not as undisturbed" for path in expected if files.get(path) != expected[path])
            yield from (f"{path} should not be there" for path in files if path not in expected)
            today = datetime.now(UTC).date()
            found = verify(store, progress(settings), lane.chat, days=days, today=today)
            yield from (f"verify: {finding}" for finding in found)
        journal = self.simulator.journal
        yield from (f"session used twice: {e['error']}" for e in journal if "duplicated" in e.get("error", "").lower())
        yield from self._calls_in_floods(journal)
        yield from self._breaker()

    def _calls_in_floods(self, journal: list[Entry]) -> Iterator[str]:
        """Calls of a method while all knew better. Who was ended about when the answer came could tell nobody."""
        for flood, until in _floods(journal, self.speed):
            if any(abs(moment - flood["ts"]) < LEARNED_SECONDS for moment in self.killed):
                continue
            for entry in journal:
                after = entry["ts"] - flood["ts"]
                if entry["method"] == flood["method"] and after > IN_FLIGHT_SECONDS and entry["ts"] < until - 0.01:
                    yield f"a call {after:.2f} s into {flood['error']}, which lasts {until - flood['ts']:.2f} s"
                    return

    def _breaker(self) -> Iterator[str]:
        home = SqliteStore(self.account.settings.home / "state" / "shared.sqlite", time.time)
        stores: list[StateStore] = [
            home,
            *([RedisStore(self.server.url, time.time)] if self.server and self.server.process else []),
        ]
        for store in stores:
            breaker = parse(store.read("breaker:telegram")["breaker:telegram"], BreakerPolicy(), time.time() + 1e9)
            states = ["closed", *(to for _, to in breaker.transitions)] if len(breaker.transitions) < 20 else []
            yield from (f"breaker goes from {a} to {b}" for a, b in pairwise(states) if (a, b) not in LEGAL)
            store.close()


def _floods(journal: list[Entry], speed: float) -> Iterator[tuple[Entry, float]]:
    """The floods answered and when, in real time, the wait ends that each asked for."""
    for entry in journal:
        if found := FLOOD.fullmatch(entry.get("error", "")):
            yield entry, entry["ts"] + int(found[1]) / speed


def _monotonic(schedule: Schedule) -> Callable[[], float]:
    return time.monotonic if schedule.dagster else steady


class _Redis:
    """A real Redis on one port, that can be stopped and started again without its data."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        if self.process is None:
            options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.directory)]
            command = tethered([find_redis_server(), *options])
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            with redis.Redis(port=self.port) as client:
                for _ in range(500):
                    try:
                        client.ping()
                    except redis.RedisError:
                        time.sleep(0.01)
                    else:
                        return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def _redis(directory: Path) -> Iterator[_Redis]:
    server = _Redis(directory)
    try:
        yield server
    finally:
        server.stop()


def _world(shape: tuple[int, int]) -> World:
    per_day, days = shape
    last = first_days(days).last
    return world_of(*(synthetic_chat(name, per_day=per_day, first_day=FIRST_DAY, last_day=last) for name in CHATS))


@cache
def _undisturbed(shape: tuple[int, int], chat: str) -> dict[str, bytes]:
    """The day files of a fetch that nothing disturbs, held against the world."""
    with tempfile.TemporaryDirectory() as directory, Simulator(_world(shape)) as simulator:
        account = Account(simulator, Path(directory))
        assert account.fetch(chat, first_days(shape[1])).messages == shape[0] * shape[1]
        return {path: data for path, data in account.files().items() if path.startswith(f"{chat}/")}
