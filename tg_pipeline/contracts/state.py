"""The port between processes that must agree and the store that lets them: a few atomic operations.

Whatever is kept here may be lost without losing data: the archive is elsewhere. What is agreed on is read, changed by
a pure function and written back with compare-and-set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

WRITER_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Change:
    """What a key must hold for a compare-and-set, and what it will hold then; None stands for no such key.

    `ttl_seconds` lets the new value expire. A change whose two values are equal is a condition only: nothing is
    written, and nothing expires later than it would have. `keep` asks a store that has a second home for its state,
    because the first may become unreachable, to keep a copy of the new value there.
    """

    expected: bytes | None
    value: bytes | None
    ttl_seconds: float | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a compare-and-set took place, and what its keys hold now."""

    done: bool
    values: Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Amounts, all finite, to add to fields of a hash. A batch that is sent twice counts once.

    `number` is larger than that of every earlier batch of the same `writer`.
    """

    writer: str
    number: int
    amounts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Lease:
    """Something held by one holder at a time. `token` is larger than that of any earlier lease of the same name."""

    name: str
    holder: str
    token: int


class StateStore(Protocol):
    """Operations that many processes may call at once. Each is all or nothing; each raises StateUnavailable.

    Keys and names are text of up to 200 characters, fields as well; values are bytes.
    """

    degraded: bool
    """Whether others who should share the store may not see it now, so that everybody had better be careful."""

    def now(self) -> float:
        """The clock that everybody who shares the store goes by: POSIX seconds that are never stepped."""

    def read(self, *keys: str) -> Mapping[str, bytes | None]:
        """The values, all of one moment; every key asked for is in the answer."""

    def keys(self, prefix: str) -> list[str]:
        """The keys with a value that begin with `prefix`, sorted. For looking on: others may come and go meanwhile."""

    def compare_and_set(self, changes: Mapping[str, Change]) -> Outcome:
        """Write all the changes if every key holds what is expected of it; otherwise none."""

    def add(self, key: str, amount: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a counter, 0 where there is none yet, and give the sum. The TTL begins when the counter does."""

    def hash_set(self, key: str, fields: Mapping[str, bytes | None]) -> None:
        """Set fields of a hash; None removes one. A hash without fields is no key."""

    def hash_get(self, key: str) -> Mapping[str, bytes]:
        """All fields of a hash; empty where there is none."""

    def hash_add(self, key: str, batch: Batch) -> bool:
        """Add to fields of a hash, 0 where there is none yet; False, and no change, for a batch that came before.

        The counter `writer:<writer>` holds the last number of a writer, until WRITER_SECONDS after its last batch. A
        sum is the text of a float.
        """

    def acquire(self, name: str, holder: str, *, ttl_seconds: float) -> Lease | None:
        """Take the lease if it is free or expired, for `ttl_seconds`; None while another holds it.

        Taken again by its own holder it is renewed and keeps its token.
        """

    def renew(self, lease: Lease, *, ttl_seconds: float) -> bool:
        """Hold it for `ttl_seconds` from now; False if it is no longer this lease."""

    def release(self, lease: Lease) -> bool:
        """Free it; False if it was no longer this lease."""

    def close(self) -> None:
        """Close files and connections. The store can be used again and opens them again."""
