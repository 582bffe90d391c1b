"""What is to go wrong, drawn from a seed."""

import random
from dataclasses import dataclass, field
from typing import Literal

from tg_pipeline.simulator import CorruptFrame, Drop, Error, FloodBucket, Latency, LostAnswer, PageFault
from tg_pipeline.simulator.faults import AnyRule

HISTORY = "messages.getHistory"
SHAPES = ((30, 10), (110, 6), (260, 5))
"""Messages a day and days of the worlds."""
JUMP_SECONDS = 3_600.0

Kind = Literal[
    "kill",
    "terminate",
    "stop redis",
    "start redis",
    # of the whole tree only, where the two above concern the process of a run:
    "kill run and code server",
    "kill daemon",
    "kill tree",
    "terminate up",
    "terminate tree",
    "cancel",
    "fill disk",
]
TREE_KINDS: tuple[Kind, ...] = (
    "kill",
    "kill run and code server",
    "kill daemon",
    "kill tree",
    "terminate",
    "terminate up",
    "terminate tree",
    "cancel",
    "fill disk",
    "stop redis",
)
LONG = 45
"""Seconds of a flood that is not over yet when a tree has been killed and started again."""


@dataclass(frozen=True)
class Event:
    """Something that happens to processes once the simulator has seen so many calls, or so many floods."""

    kind: Kind
    calls: int = 0
    floods: int = 0

    def __str__(self) -> str:
        return f"{self.kind} after {f'{self.floods} floods' if self.floods else f'{self.calls} calls'}"


@dataclass(frozen=True)
class Schedule:
    """One seed's course of events. `disk_bytes` is the most a file may hold in the first process; 0 for no bound.

    `dagster`: the whole of Dagster works on it, in real time; otherwise each fetch is a process and time runs faster.
    """

    seed: int
    shape: tuple[int, int]
    faults: list[AnyRule]
    events: list[Event] = field(default_factory=list)
    pages_in_flight: int = 2
    processes: int = 1
    redis: bool = False
    disk_bytes: int = 0
    jump: float = 0.0
    jump_after: int = 0
    dagster: bool = False

    @property
    def fills_disk(self) -> bool:
        return any(event.kind == "fill disk" for event in self.events)

    def __str__(self) -> str:
        parts = [f"{self.shape[0]}x{self.shape[1]} messages", *(_told(rule) for rule in self.faults)]
        parts += map(str, self.events)
        parts += [f"{self.processes} {'runs' if self.dagster else 'processes'}"] if self.processes > 1 else []
        parts += ["redis"] if self.redis else []
        parts += [f"disk full at {self.disk_bytes}"] if self.disk_bytes else []
        parts += ["whole of Dagster"] if self.dagster else []
        parts += [f"clock {self.jump:+.0f} s after {self.jump_after}"] if self.jump else []
        return ", ".join(parts)


def draw(seed: int) -> Schedule:
    """The schedule of that seed, the same for ever."""
    rng = random.Random(seed)
    redis = rng.random() < 0.2
    events = [_event(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    if redis and rng.random() < 0.7:
        stop = rng.randrange(2, 8)
        events += [Event("stop redis", calls=stop), Event("start redis", calls=stop + rng.randrange(1, 6))]
    return Schedule(
        seed=seed,
        shape=rng.choice(SHAPES),
        faults=[_fault(rng) for _ in range(rng.choice((1, 1, 2, 3)))],
        events=events,
        pages_in_flight=rng.choice((1, 2, 3)),
        processes=rng.choice((1, 1, 2)),
        redis=redis,
        disk_bytes=rng.choice((0, 0, 0, 0, 20_000, 60_000, 150_000)),
        jump=rng.choice((0.0, 0.0, -JUMP_SECONDS, JUMP_SECONDS)),
        jump_after=rng.randrange(1, 60),
    )


def draw_for_dagster(seed: int) -> Schedule:
    """As `draw`, for the whole of Dagster: shorter waits; twenty seeds in a row have each kind of hit twice or more."""
    rng = random.Random(f"dagster {seed}")
    kinds = [TREE_KINDS[seed % len(TREE_KINDS)]]
    kinds += [rng.choice(TREE_KINDS[:-2])] if rng.random() < 0.4 else []
    faults = [Latency(method=HISTORY, ms=150), *(_fault(rng, floods=(1, 3)) for _ in range(rng.choice((1, 1, 2))))]
    calls, events = 0, []
    for kind in kinds:
        calls += rng.randrange(4, 10)
        events += [Event(kind, calls=calls)]
        events += [Event("start redis", calls=calls + rng.randrange(2, 6))] if kind == "stop redis" else []
    if seed % 3 == 0:
        faults.insert(0, Error(method=HISTORY, error=f"FLOOD_WAIT_{LONG}", skip=rng.randrange(1, 6), count=1))
        events[0] = Event(kinds[0], floods=1)
    return Schedule(
        seed=seed,
        shape=SHAPES[2],
        faults=faults,
        events=events,
        pages_in_flight=rng.choice((1, 2)),
        processes=rng.choice((1, 2)),
        redis="stop redis" in kinds or rng.random() < 0.2,
        dagster=True,
    )


def _event(rng: random.Random) -> Event:
    kind: Kind = rng.choice(("kill", "kill", "terminate"))
    return Event(kind, floods=rng.choice((1, 1, 2))) if rng.random() < 0.4 else Event(kind, calls=rng.randrange(1, 14))


def _fault(rng: random.Random, floods: tuple[int, int] = (4, 15)) -> AnyRule:
    skip, few = rng.randrange(8), rng.randrange(1, 4)
    flood = rng.choice(("FLOOD_WAIT", "FLOOD_WAIT", "FLOOD_PREMIUM_WAIT"))
    makers = (
        lambda: Error(
            method=HISTORY, error=f"{flood}_{rng.randrange(*floods)}", skip=skip, count=rng.choice((1, 1, 2))
        ),
        lambda: FloodBucket(method=HISTORY, rate=rng.choice((1, 3)), burst=rng.choice((1, 4)), wait_seconds=floods[0]),
        lambda: Error(method=rng.choice((HISTORY, "*")), error="RPC_CALL_FAIL", skip=skip, count=few * 2),
        lambda: Latency(method=HISTORY, ms=rng.choice((5, 30)), jitter_ms=40),
        lambda: Drop(how=rng.choice(("fin", "rst")), skip=skip, count=few * 2),
        lambda: LostAnswer(method=HISTORY, skip=skip, count=1),
        lambda: CorruptFrame(method=HISTORY, skip=skip, count=few),
        lambda: PageFault(how=rng.choice(("repeated", "reordered", "short")), skip=skip, count=few),
    )
    return rng.choice(makers)()


def _told(rule: AnyRule) -> str:
    given = rule.model_dump(exclude_defaults=True, exclude={"kind", "when"})
    return f"{rule.kind}({', '.join(f'{key}={value}' for key, value in given.items())})"
