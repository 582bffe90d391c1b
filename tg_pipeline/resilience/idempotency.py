"""Doing a thing once, however often it is asked for and by how many processes: claim, then complete or fail.

A key stands for the thing (`command:<idempotency key>`, say). Who claims it does it; who comes while that goes on is
told so; who comes afterwards gets the result. A claim whose process died runs out, and the next process may claim; the
late one can then no longer complete, since its token is not the claim's any more.
"""

import json
from dataclasses import dataclass
from typing import Any

from tg_pipeline.contracts.state import Change, StateStore


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the thing. `token` is larger than that of every earlier claim that is still remembered."""

    key: str
    token: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Another process does it; unless it completes or fails first, it may be claimed again in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, with this result."""

    result: Any


class IdempotencyGuard:
    """Claims in the shared store. Results, which are JSON values, are remembered for `ttl_seconds`."""

    def __init__(self, store: StateStore, *, ttl_seconds: float, claim_seconds: float = 60.0) -> None:
        self._store = store
        self._ttl_seconds = ttl_seconds
        self._claim_seconds = claim_seconds

    def claim(self, key: str) -> Claim | UnderWay | Done:
        """Claim the key, or hear why not. Raises StateUnavailable."""
        name = _name(key)
        value = self._store.read(name)[name]
        while True:
            now = self._store.now()
            record = _parse(value)
            if "result" in record:
                return Done(record["result"])
            left = min(float(record.get("until", 0)) - now, self._claim_seconds)
            if left > 0:
                return UnderWay(left)
            token = max(int(record.get("token", 0)) + 1, int(now * 1_000))
            claimed = _dump({"token": token, "until": now + self._claim_seconds})
            outcome = self._store.compare_and_set({name: Change(value, claimed, self._ttl_seconds)})
            if outcome.done:
                return Claim(key, token)
            value = outcome.values[name]

    def extend(self, claim: Claim) -> bool:
        """Keep the claim for as long again; False if it was lost."""
        return self._replace(claim, _dump({"token": claim.token, "until": self._store.now() + self._claim_seconds}))

    def complete(self, claim: Claim, result: Any = None) -> bool:
        """Remember the result; False if the claim was lost, and then nothing is changed."""
        return self._replace(claim, _dump({"token": claim.token, "result": result}))

    def fail(self, claim: Claim) -> bool:
        """Let the next process claim it at once; False if the claim was lost, and then nothing is changed."""
        return self._replace(claim, _dump({"token": claim.token}))

    def _replace(self, claim: Claim, new: bytes) -> bool:
        name = _name(claim.key)
        value = self._store.read(name)[name]
        while True:
            record = _parse(value)
            if record.get("token") != claim.token or "until" not in record:
                return False
            outcome = self._store.compare_and_set({name: Change(value, new, self._ttl_seconds)})
            if outcome.done:
                return True
            value = outcome.values[name]


def _name(key: str) -> str:
    return f"once:{key}"


def _parse(value: bytes | None) -> dict[str, Any]:
    """The record; an empty one where there is none, or none that makes sense."""
    try:
        record = json.loads(value or b"{}")
        sound = isinstance(record, dict) and all(isinstance(record.get(k, 0), int | float) for k in ("token", "until"))
    except ValueError:
        return {}
    return record if sound else {}


def _dump(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
