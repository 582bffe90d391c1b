"""Playing one schedule, and holding what came of it against what must hold."""

import time
from dataclasses import dataclass, field

from tg_pipeline_tests.chaos.fetches import Fetches
from tg_pipeline_tests.chaos.operating import Operator
from tg_pipeline_tests.chaos.scene import scene
from tg_pipeline_tests.chaos.schedule import Schedule


@dataclass
class Played:
    """What came of a schedule; `broken` are sentences about invariants, empty where all held."""

    schedule: Schedule
    starts: int = 0
    calls: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        result = "; ".join(self.broken) or "ok"
        facts = [f"{self.starts} starts", f"{self.calls} calls", f"{self.seconds:.1f} s", *self.notes]
        return f"seed {self.schedule.seed}: {self.schedule} | {', '.join(facts)} | {result}"


def play(schedule: Schedule, *, broken: str = "") -> Played:
    """Play it to its end. `broken` names a build that is known to be wrong, to see it caught."""
    began = time.monotonic()
    with scene(schedule) as found:
        player = Operator(found) if schedule.dagster else Fetches(found, broken)
        try:
            player.run()
        finally:
            player.end()
        return Played(
            schedule,
            player.starts,
            len(found.simulator.journal),
            notes=found.notes,
            broken=[*found.troubles, *found.findings()],
            seconds=time.monotonic() - began,
        )
