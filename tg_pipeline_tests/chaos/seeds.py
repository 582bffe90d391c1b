"""Which schedules are played where: in the gate a stratified few, every night a thousand new ones."""

import os
import random
from itertools import combinations

from tg_pipeline_tests.chaos.schedule import TREE_KINDS, Schedule, draw

FAILED = {
    8: "a build that keeps what it learned in memory calls into a flood wait",
    45: "as 8",
    72: "a process that was ended while the flood's answer was on its way",
    96: "as 8",
    141: "two processes on a busy machine: one called 0.31 s after the flood that the other had met",
    162: "as 8",
}
"""Seeds that once broke an invariant (of the product, of a build broken on purpose, or of the suite), and how."""
STRATIFIED = 40
CANDIDATES = 250
"""The stratified seeds are chosen from the first so many."""
NIGHTLY = 1_000
NIGHTLY_DAGSTER = 20
NIGHTLY_KEY = "TG_PIPELINE_CHAOS_FIRST_SEED"
"""Environment variable that names the first seed of a night; a random one where it is not set."""


def gate() -> list[int]:
    """Return every seed that failed once, and those that meet the most pairs of circumstances; always the same."""
    features = {seed: _pairs(draw(seed)) for seed in range(CANDIDATES)}
    chosen: list[int] = []
    met = set().union(*(features[seed] for seed in FAILED))
    for _ in range(STRATIFIED):
        best = max(features.keys() - FAILED.keys() - set(chosen), key=lambda seed: (len(features[seed] - met), -seed))
        chosen.append(best)
        met |= features[best]
    return sorted([*FAILED, *chosen])


def dagster_gate() -> range:
    """Return one seed for each kind of hit: `draw_for_dagster` takes the kinds in turn."""
    return range(len(TREE_KINDS))


def choose_night() -> None:
    """Draw the first seed of a night, for this process and its children."""
    os.environ.setdefault(NIGHTLY_KEY, str(random.SystemRandom().randrange(1_000, 10**9)))


def nightly(count: int) -> range:
    """Return the seeds of a night; every xdist worker reads the same from its environment."""
    first = int(os.environ[NIGHTLY_KEY])
    return range(first, first + count)


def circumstances(schedule: Schedule) -> set[str]:
    """Return what a schedule is made of, each as a short name."""
    found = {f"{rule.kind} {getattr(rule, 'how', '')}".strip() for rule in schedule.faults}
    found |= {f"{event.kind} in a flood" if event.floods else event.kind for event in schedule.events}
    found |= {f"{schedule.shape[0]} a day", f"{schedule.pages_in_flight} pages in flight"}
    found |= {"two processes"} if schedule.processes > 1 else set()
    found |= {"redis"} if schedule.redis else set()
    found |= {"full disk"} if schedule.disk_bytes else set()
    found |= {f"clock {schedule.jump:+.0f} s"} if schedule.jump else set()
    return found


def _pairs(schedule: Schedule) -> set[frozenset[str]]:
    found = circumstances(schedule)
    return {frozenset(pair) for pair in combinations(found, 2)} | {frozenset([word]) for word in found}
