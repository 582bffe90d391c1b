"""Many processes at one state store, each doing the same: what they got together tells whether it is atomic."""

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from tg_pipeline.contracts.state import Batch, Change, Outcome, StateStore
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore

PROCESSES = 4
ROUNDS = 25
ALLOWANCE = 2_000
T = TypeVar("T")
Opener = Callable[[str], StateStore]


class LossyStore(SqliteStore):
    """Compares and sets, but not at once: an update that comes in between is lost."""

    def compare_and_set(self, changes: Mapping[str, Change]) -> Outcome:
        held = self.read(*changes)
        if any(held[key] != change.expected for key, change in changes.items()):
            return Outcome(done=False, values=held)
        time.sleep(0.001)
        late = {key: Change(self.read(key)[key], change.value) for key, change in changes.items()}
        return super().compare_and_set(late)


def sqlite(path: str) -> StateStore:
    return SqliteStore(Path(path), time.time)


def lossy(path: str) -> StateStore:
    return LossyStore(Path(path), time.time)


def redis(url: str) -> StateStore:
    return RedisStore(url, time.time)


def in_processes(work: Callable[[StateStore, int], T], opener: Opener, where: str) -> list[T]:
    """What `work` gives in each of several processes that begin at once."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        running = [pool.submit(_one, work, opener, where, number) for number in range(PROCESSES)]
        return [one.result() for one in running]


def _one(work: Callable[[StateStore, int], T], opener: Opener, where: str, number: int) -> T:
    store = opener(where)
    here = store.add("here")
    while here < PROCESSES:
        time.sleep(0.002)
        here = store.add("here", 0)
    try:
        return work(store, number)
    finally:
        store.close()


def spend(store: StateStore, _number: int) -> int:
    """Take from one allowance, one at a time, until nothing is left; how many were granted."""
    granted, value = 0, store.read("left")["left"]
    while (left := int(value or ALLOWANCE)) > 0:
        outcome = store.compare_and_set({"left": Change(value, b"%d" % (left - 1))})
        granted += outcome.done
        value = outcome.values["left"]
    return granted


def move(store: StateStore, number: int) -> None:
    """Move amounts between two keys that always hold a hundred together."""
    for step in range(ROUNDS):
        done, held = False, store.read("a", "b")
        while not done:
            a, b = int(held["a"] or 50), int(held["b"] or 50)
            if a + b != 100:
                sys.exit(1)
            amount = (step + number) % 3 - 1
            outcome = store.compare_and_set(
                {"a": Change(held["a"], b"%d" % (a - amount)), "b": Change(held["b"], b"%d" % (b + amount))}
            )
            done, held = outcome.done, outcome.values


def count(store: StateStore, number: int) -> list[int]:
    """Add to one counter; the sums seen."""
    return [store.add("counter") for _ in range(ROUNDS)]


def add_up(store: StateStore, number: int) -> None:
    """Add to fields that all share and to one of its own, each batch twice."""
    for step in range(ROUNDS):
        batch = Batch(f"process {number}", step, {"all": 1, "half": 0.5, f"own {number}": 2})
        for _ in range(2):
            store.hash_add("sums", batch)


def hold(store: StateStore, number: int) -> list[tuple[int, bool]]:
    """Take one lease again and again; the tokens, and whether nobody else came in while it was held."""
    held: list[tuple[int, bool]] = []
    while len(held) < ROUNDS:
        lease = store.acquire("turn", f"process {number}", ttl_seconds=30)
        if lease is None:
            continue
        store.hash_set("inside", {"who": b"%d" % number})
        alone = store.hash_get("inside") == {"who": b"%d" % number}
        held.append((lease.token, alone and store.release(lease)))
    return held
