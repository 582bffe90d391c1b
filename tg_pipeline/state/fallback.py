"""A Redis that may go away: meanwhile the store in the instance home serves, and nobody is let through unasked."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.state import Batch, Change, Lease, Outcome, StateStore
from tg_pipeline.state.redis_client import OUTAGE

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
KEPT_SECONDS = 7 * 86_400.0
_KEPT = "fallback:kept"
_OWED = "fallback:owed"
_OWED_BATCHES = "fallback:batches:"
"""How the hashes of batches begin that a hash of the primary has not been given yet, by writer and number."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class FallbackStore:
    """The port `contracts.state.StateStore` over `primary`, and over `home` while that cannot be reached.

    After a failure the primary is left alone for 5 s, then 10, 20 and so on up to a minute, or until anybody else in
    this process has reached a Redis. Changes marked `keep` are in both, so that what Telegram asked for holds whichever
    is read: those made meanwhile are brought to the primary when it is back, by whichever process of this home comes
    first, and a primary that lost its data is given them again when their keys are asked for. Batches added meanwhile
    wait in the home, and are brought to the primary before anybody of this home reads their hash there or adds to it.
    `degraded` is true while the home serves.
    """

    def __init__(self, primary: StateStore, home: StateStore) -> None:
        self._primary = primary
        self._home = home
        self._pause = FIRST_PAUSE_SECONDS
        self._look_again = 0.0
        self._settled = False
        self._home_warned = False
        self.degraded = False

    def now(self) -> float:
        """The clock of the home, which is the primary's too."""
        return self._home.now()

    def read(self, *keys: str) -> Mapping[str, bytes | None]:
        """The values, all of one moment."""

        def work(store: StateStore) -> Mapping[str, bytes | None]:
            values = store.read(*keys)
            if store is self._primary and self._restored(key for key in keys if values[key] is None):
                values = store.read(*keys)
            return values

        return self._either(work)

    def keys(self, prefix: str) -> list[str]:
        """The keys with a value that begin with `prefix`, sorted; also those that `read` gives the primary again."""

        def work(store: StateStore) -> list[str]:
            kept = self._noted(_KEPT) if store is self._primary else ()
            return sorted({*store.keys(prefix), *(key for key in kept if key.startswith(prefix))})

        return self._either(work)

    def compare_and_set(self, changes: Mapping[str, Change]) -> Outcome:
        """Write all the changes if every key holds what is expected of it; otherwise none."""

        def work(store: StateStore) -> Outcome:
            if store is self._primary:
                begun = (key for key, change in changes.items() if change.expected is None and change.value is not None)
                self._restored(begun)
            return store.compare_and_set(changes)

        outcome = self._either(work)
        kept = {key: change for key, change in changes.items() if change.keep}
        if outcome.done and kept:
            with self._if_home_can():
                self._keep(kept)
        return outcome

    def add(self, key: str, amount: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a counter and give the sum."""
        return self._either(lambda store: store.add(key, amount, ttl_seconds=ttl_seconds))

    def hash_set(self, key: str, fields: Mapping[str, bytes | None]) -> None:
        """Set fields of a hash; None removes one."""
        self._either(lambda store: store.hash_set(key, fields))

    def hash_get(self, key: str) -> Mapping[str, bytes]:
        """All fields of a hash."""

        def work(store: StateStore) -> Mapping[str, bytes]:
            if store is self._primary:
                self._bring_batches(key)
            return store.hash_get(key)

        return self._either(work)

    def hash_add(self, key: str, batch: Batch) -> bool:
        """Add to fields of a hash; False for a batch that the primary was given before."""

        def work(store: StateStore) -> bool:
            if store is self._primary:
                self._bring_batches(key)
                return store.hash_add(key, batch)
            # By number first, so that those of each writer are brought in their order.
            store.hash_set(f"{_OWED_BATCHES}{key}", {f"{batch.number:016}:{batch.writer}": _dump(batch)})
            return True

        return self._either(work)

    def acquire(self, name: str, holder: str, *, ttl_seconds: float) -> Lease | None:
        """Take the lease if it is free, expired or the holder's own."""
        return self._either(lambda store: store.acquire(name, holder, ttl_seconds=ttl_seconds))

    def renew(self, lease: Lease, *, ttl_seconds: float) -> bool:
        """Hold it for `ttl_seconds` from now; False if it is no longer this lease."""
        return self._either(lambda store: store.renew(lease, ttl_seconds=ttl_seconds))

    def release(self, lease: Lease) -> bool:
        """Free it; False if it was no longer this lease."""
        return self._either(lambda store: store.release(lease))

    def close(self) -> None:
        """Close both."""
        self._primary.close()
        self._home.close()

    def _either(self, work: Callable[[StateStore], T]) -> T:
        if self.degraded and OUTAGE.is_known and self._home.now() < self._look_again:
            return work(self._home)
        try:
            if not self._settled:
                self._settle()
            result = work(self._primary)
        except StateUnavailable as error:
            self._went_away(error)
            return work(self._home)
        if self.degraded:
            self.degraded, self._pause = False, FIRST_PAUSE_SECONDS
        return result

    def _went_away(self, error: StateUnavailable) -> None:
        self._look_again = self._home.now() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._settled = False
        self.degraded = True
        OUTAGE.begin(error)

    def _keep(self, changes: Mapping[str, Change]) -> None:
        """Note what the home must not forget, and what it owes the primary."""
        values = {key: change.value for key, change in changes.items()}
        self._home.hash_set(_KEPT, values)
        if self.degraded:
            self._home.hash_set(_OWED, values)
            return
        for key, change in changes.items():
            _overwrite(self._home, key, change.value, change.ttl_seconds)

    def _settle(self) -> None:
        """Bring to the primary what was kept while it was away: the last that Telegram said to any process here."""
        for key, value in self._noted(_OWED).items():
            _overwrite(self._primary, key, value, KEPT_SECONDS)
            with self._if_home_can():
                self._home.hash_set(_OWED, {key: None})
        self._settled = True

    def _bring_batches(self, key: str) -> None:
        """Add to the primary's hash what waits for it here; if several processes do, nothing is added twice."""
        owed = f"{_OWED_BATCHES}{key}"
        for field, text in sorted(self._noted(owed).items()):
            self._primary.hash_add(key, Batch(**json.loads(text)))
            with self._if_home_can():
                self._home.hash_set(owed, {field: None})

    def _restored(self, keys: Iterable[str]) -> bool:
        """Give the primary what the home keeps of keys that it has not; whether there were any."""
        missing = list(keys)
        kept = self._noted(_KEPT) if missing else {}
        changes = {key: Change(None, kept[key], KEPT_SECONDS) for key in missing if key in kept}
        for key, change in changes.items():
            self._primary.compare_and_set({key: change})
        return bool(changes)

    def _noted(self, name: str) -> Mapping[str, bytes]:
        noted: dict[str, bytes] = {}
        with self._if_home_can():
            noted.update(self._home.hash_get(name))
        return noted

    @contextmanager
    def _if_home_can(self) -> Iterator[None]:
        """While the primary serves, a home that cannot be used is no reason to stop; said once."""
        try:
            yield
        except StateUnavailable as error:
            if not self._home_warned:
                self._home_warned = True
                log.warning("%s Should Redis go away, flood waits of that time are not known here.", error)


def _dump(batch: Batch) -> bytes:
    return json.dumps({"writer": batch.writer, "number": batch.number, "amounts": dict(batch.amounts)}).encode()


def _overwrite(store: StateStore, key: str, value: bytes | None, ttl_seconds: float | None) -> None:
    done, held = False, store.read(key)[key]
    while not done:
        outcome = store.compare_and_set({key: Change(held, value, ttl_seconds)})
        done, held = outcome.done, outcome.values[key]
