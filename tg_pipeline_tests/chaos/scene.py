"""What a schedule is played on, and what must hold of it whoever plays."""

import re
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

from tg_pipeline.app.archive import open_archive
from tg_pipeline.contracts.policy import BreakerPolicy
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.resilience.breaker import parse
from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.journal import Entry
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.chaos.accelerated import SPEED, steady
from tg_pipeline_tests.chaos.redis_that_dies import MortalRedis, mortal_redis
from tg_pipeline_tests.chaos.schedule import Event, Schedule
from tg_pipeline_tests.chaos.small_disk import SmallDisk, small_disk
from tg_pipeline_tests.defs.pipeline import environment_of
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, first_days, world_of

CHATS = ("busy", "other")
IN_FLIGHT_SECONDS = 0.2
"""Real ones: a call that was on its way when the flood before it was answered."""
LEARNED_SECONDS = 0.3
"""Real ones, after which a process that lives has written down what it was told."""
TURNS = 3
"""How often a process may wait for its turn between an answer and the call that must know of it."""
LEGAL = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
EARLY_CALL = "a call"
FLOOD = re.compile(r"FLOOD_(?:PREMIUM_)?WAIT_(\d+)")
BREAKING = {"!drop", "!corrupt_frame", "!transport_error"}
"""What ends a connection together with the answers that are still on their way."""
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
class Scene:
    """What a schedule is played on.

    `killed`: when a process was hit, and for how many seconds before it may not have learned of a flood. `troubles`:
    what must hold and did not, on the way. `late`: the most seconds by which a sleep of the player's ended late, which
    says how busy the machine is. `notes`: what else the list of schedules shows.
    """

    schedule: Schedule
    simulator: Simulator
    account: Account
    redis: MortalRedis | None
    disk: SmallDisk | None
    events: list[Event]
    killed: list[tuple[float, float]] = field(default_factory=list)
    late: float = 0.0
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def chats(self) -> tuple[str, ...]:
        return CHATS[: self.schedule.processes]

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of the schedule's."""
        return environment_of(self.account) | SETTINGS | ({"REDIS_URL": self.redis.url} if self.redis else {})

    @property
    def speed(self) -> float:
        """Seconds of the schedule in a real one."""
        return 1.0 if self.schedule.dagster else SPEED

    def pause(self, seconds: float) -> None:
        """Sleep, and see how late the machine is."""
        began = time.monotonic()
        time.sleep(seconds)
        self.late = max(self.late, time.monotonic() - began - seconds)

    def hit(self) -> None:
        """Note that somebody is hit now."""
        self.killed.append((time.time(), self._learned()))

    def _learned(self) -> float:
        return LEARNED_SECONDS + TURNS * self.late

    def due(self) -> list[Event]:
        """The events whose time has come."""
        return [event for event in self.events if self._is_due(event)]

    def _is_due(self, event: Event) -> bool:
        if not event.floods:
            return len(self.simulator.journal) >= event.calls
        seen = [flood["ts"] for flood, _ in _floods(self.simulator.journal, self.speed)]
        return len(seen) >= event.floods and time.time() - seen[event.floods - 1] > self._learned()

    def ahead(self, chat: str, green: Collection[str] = ()) -> Iterator[str]:
        """Whether progress, or the days that are `green`, tell of days that are not there."""
        store = open_archive(self.account.settings)
        reported = FileArchive(self.account.settings.data_root).progress.read().chats.get(chat)
        held = [header.last_message_id or 0 for day in store.days(chat) if (header := store.header(chat, day))]
        yield from (f"{day} is green without a file" for day in set(green) - {str(day) for day in store.days(chat)})
        if reported and reported.high_water_mark and reported.high_water_mark > max(held, default=0):
            yield f"progress is ahead of the data: {reported.high_water_mark}"

    def findings(self) -> Iterator[str]:
        """What is wrong now that all is done."""
        settings, days = self.account.settings, first_days(self.schedule.shape[1])
        store = open_archive(settings)
        for chat in self.chats:
            expected = _undisturbed(self.schedule.shape, chat)
            files = {path: data for path, data in self.account.files().items() if path.startswith(f"{chat}/")}
            yield from (f"{path} is not as undisturbed" for path in expected if files.get(path) != expected[path])
            yield from (f"{path} should not be there" for path in files if path not in expected)
            today = datetime.now(UTC).date()
            yield from (f"verify: {f}" for f in store.verify_chat(chat, days=days, today=today))
        journal = self.simulator.journal
        yield from (f"session used twice: {e['error']}" for e in journal if "duplicated" in e.get("error", "").lower())
        yield from self._calls_in_floods(journal)
        yield from self._breaker()

    def _calls_in_floods(self, journal: list[Entry]) -> Iterator[str]:
        """Calls of a method while all knew better.

        Who was ended about when the answer came could tell nobody, nor could a connection that broke about then. On a
        busy machine what a process does at once takes longer, by several turns of the scheduler.
        """
        in_flight = IN_FLIGHT_SECONDS + TURNS * self.late
        for flood, until in _floods(journal, self.speed):
            broken = [e["ts"] for e in journal if e["connection"] == flood["connection"] and e.get("error") in BREAKING]
            untold = [*self.killed, *((moment, self._learned()) for moment in broken)]
            if any(abs(moment - flood["ts"]) < seconds for moment, seconds in untold):
                continue
            for entry in journal:
                after = entry["ts"] - flood["ts"]
                if entry["method"] == flood["method"] and after > in_flight and entry["ts"] < until - 0.01:
                    yield f"{EARLY_CALL} {after:.2f} s into {flood['error']}, which lasts {until - flood['ts']:.2f} s"
                    return

    def _breaker(self) -> Iterator[str]:
        stores: list[StateStore] = [
            SqliteStore(self.account.settings.home / "state" / "shared.sqlite", time.time),
            *([RedisStore(self.redis.url, time.time)] if self.redis and self.redis.process else []),
        ]
        for store in stores:
            breaker = parse(store.read("breaker:telegram")["breaker:telegram"], BreakerPolicy(), time.time() + 1e9)
            states = ["closed", *(to for _, to in breaker.transitions)] if len(breaker.transitions) < 20 else []
            yield from (f"breaker goes from {a} to {b}" for a, b in pairwise(states) if (a, b) not in LEGAL)
            store.close()


def is_early_call(finding: str) -> bool:
    """Whether this finding is about a call that came before a flood wait had ended."""
    return finding.startswith(EARLY_CALL)


@contextmanager
def scene(schedule: Schedule) -> Iterator[Scene]:
    """A simulator with the schedule's world and faults, and an empty home; nothing runs yet."""
    with tempfile.TemporaryDirectory(prefix="tg-pipeline-chaos-") as directory, ExitStack() as stack:
        home = Path(directory)
        monotonic = time.monotonic if schedule.dagster else steady
        simulator = stack.enter_context(Simulator(_world(schedule.shape), monotonic=monotonic))
        for fault in schedule.faults:
            simulator.faults.add(fault)
        redis = stack.enter_context(mortal_redis(home)) if schedule.redis else None
        disk = stack.enter_context(small_disk(home / "disk")) if schedule.fills_disk else None
        sessions = [simulator.new_session() for _ in range(schedule.processes)]
        data = (disk.path if disk else home) / "data"
        account = Account(
            simulator, home, sessions=sessions, fetch_pages_in_flight=schedule.pages_in_flight, data_uri=str(data)
        )
        yield Scene(schedule, simulator, account, redis, disk, list(schedule.events))


def _floods(journal: list[Entry], speed: float) -> Iterator[tuple[Entry, float]]:
    """The floods answered and when, in real time, the wait ends that each asked for."""
    for entry in journal:
        if found := FLOOD.fullmatch(entry.get("error", "")):
            yield entry, entry["ts"] + int(found[1]) / speed


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
