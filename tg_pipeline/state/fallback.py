"""A Redis that may go away: meanwhile the store in the instance home serves, and nobody is let through unasked."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.state import Change, Lease, Outcome, StateStore

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class FallbackStore:
    """The port `contracts.state.StateStore` over `primary`, and over `home` while that cannot be reached.

    After a failure the primary is left alone for 5 s, then 10, 20 and so on up to a minute. Changes marked `keep` are
    in both, so that what Telegram asked for holds whichever is read. `on_degraded` hears of every change to and fro.
    """

    def __init__(self, primary: StateStore, home: StateStore, *, on_degraded: Callable[[bool], object]) -> None:
        self._primary = primary
        self._home = home
        self._on_degraded = on_degraded
        self._pause = FIRST_PAUSE_SECONDS
        self._look_again = 0.0
        self.degraded = False
        on_degraded(False)  # noqa: FBT003 - a metric's value

    def now(self) -> float:
        """The clock of the home, which is the primary's too."""
        return self._home.now()

    def read(self, *keys: str) -> Mapping[str, bytes | None]:
        """The values, all of one moment."""
        return self._either(lambda store: store.read(*keys))

    def compare_and_set(self, changes: Mapping[str, Change]) -> Outcome:
        """Write all the changes if every key holds what is expected of it; otherwise none."""
        outcome = self._either(lambda store: store.compare_and_set(changes))
        if outcome.done and not self.degraded:
            self._mirror({key: change for key, change in changes.items() if change.keep})
        return outcome

    def add(self, key: str, amount: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a counter and give the sum."""
        return self._either(lambda store: store.add(key, amount, ttl_seconds=ttl_seconds))

    def hash_set(self, key: str, fields: Mapping[str, bytes | None]) -> None:
        """Set fields of a hash; None removes one."""
        self._either(lambda store: store.hash_set(key, fields))

    def hash_get(self, key: str) -> Mapping[str, bytes]:
        """All fields of a hash."""
        return self._either(lambda store: store.hash_get(key))

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
        """Let go of both."""
        self._primary.close()
        self._home.close()

    def _either(self, work: Callable[[StateStore], T]) -> T:
        if self.degraded and self._home.now() < self._look_again:
            return work(self._home)
        try:
            result = work(self._primary)
        except StateUnavailable as error:
            self._went_away(error)
            return work(self._home)
        if self.degraded:
            self.degraded, self._pause = False, FIRST_PAUSE_SECONDS
            self._on_degraded(False)  # noqa: FBT003 - a metric's value
            log.warning("Redis is back; runs of all machines share one state again.")
        return result

    def _went_away(self, error: StateUnavailable) -> None:
        self._look_again = self._home.now() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if not self.degraded:
            self.degraded = True
            self._on_degraded(True)  # noqa: FBT003 - a metric's value
            log.warning("%s Until it is back, what is known in the instance home serves.", error)

    def _mirror(self, changes: Mapping[str, Change]) -> None:
        for key, change in changes.items():
            done = False
            held = self._home.read(key)[key]
            while not done:
                outcome = self._home.compare_and_set({key: Change(held, change.value, change.ttl_seconds)})
                done, held = outcome.done, outcome.values[key]
