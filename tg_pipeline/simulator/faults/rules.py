"""The rules of a fault script: which requests they concern, and what then happens.

A rule concerns a request when `method` and every entry of `when` match. Of those requests it lets `skip` pass, then
strikes each with `probability`, at most `count` times. Rules are asked in order; the first that strikes decides,
except that `latency` adds its delay and lets the next rule speak.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

MIGRATE = re.compile(r"[A-Z]+_MIGRATE_(\d+)")
CODES = (
    (303, MIGRATE),
    (401, re.compile(r"AUTH_KEY_(UNREGISTERED|INVALID|PERM_EMPTY)|SESSION_\w+|USER_DEACTIVATED(_BAN)?")),
    (406, re.compile(r"AUTH_KEY_DUPLICATED")),
    (420, re.compile(r"(FLOOD|FLOOD_PREMIUM|FLOOD_TEST_PHONE|SLOWMODE)_WAIT_\d+|TAKEOUT_INIT_DELAY_\d+")),
    (500, re.compile(r"RPC_(CALL|MCGET)_FAIL|INTERDC_\d+_CALL_(RICH_)?ERROR")),
    (-503, re.compile(r"Timedout")),
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bounds(_Model):
    """A number from `min` to `max`, both included; either may be left open."""

    min: float | None = None
    max: float | None = None

    def holds(self, value: object) -> bool:
        """Whether `value` is a number within the bounds."""
        if not isinstance(value, int | float):
            return False
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Rule(_Model):
    """What all rules share.

    `method`: "messages.getHistory", or a pattern such as "messages.*"; every method if left out. `when`: parameters of
    the request by name ("limit", "peer.channel_id") and the value they must equal, or `{"min": 1, "max": 9}`; the
    name "chat" stands for the username of the chat concerned.
    """

    method: str = "*"
    when: dict[str, Bounds | bool | int | str | None] = Field(default_factory=dict)
    skip: NonNegativeInt = 0
    count: PositiveInt | None = None
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0


class Error(Rule):
    """An RPC error of this name. `code` is known for Telegram's families of errors and 400 for the rest.

    A migrate error never strikes at the data centre that it points to.
    """

    kind: Literal["error"] = "error"
    error: Annotated[str, Field(pattern=r"^\w+$")]
    code: int | None = None

    def full_code(self) -> int:
        """`code`, or the one that Telegram sends with this name."""
        if self.code is not None:
            return self.code
        return next((code for code, names in CODES if names.fullmatch(self.error)), 400)

    def migrates_to(self) -> int | None:
        """The data centre that a migrate error names."""
        target = MIGRATE.fullmatch(self.error)
        return int(target[1]) if target else None


class FloodBucket(Rule):
    """FLOOD_WAIT from a token bucket that the client cannot see.

    `burst` calls are free, then `rate` a second. A call beyond that starts a wait of `wait_seconds`; every call made
    during the wait is refused too and makes it `wait_seconds` longer.
    """

    kind: Literal["flood_bucket"] = "flood_bucket"
    rate: PositiveFloat
    burst: PositiveInt = 1
    wait_seconds: PositiveInt = 1


class Latency(Rule):
    """The answer comes `ms` later, and up to `jitter_ms` later still; requests behind it do not wait."""

    kind: Literal["latency"] = "latency"
    ms: NonNegativeFloat
    jitter_ms: NonNegativeFloat = 0


class Drop(Rule):
    """No answer; the connection is closed (`fin`), reset (`rst`), or closed in the server's direction (`half`)."""

    kind: Literal["drop"] = "drop"
    how: Literal["fin", "rst", "half"] = "fin"


class LostAnswer(Rule):
    """The request is carried out, its answer never arrives, the connection stays."""

    kind: Literal["lost_answer"] = "lost_answer"


class CorruptFrame(Rule):
    """The answer arrives with a byte changed on the way."""

    kind: Literal["corrupt_frame"] = "corrupt_frame"


class PageFault(Rule):
    """A page of history that is `repeated` (the chat's previous one again), `reordered`, or `short` (half of it).

    A short page keeps the messages next to its offset, so that a client which goes on from there misses nothing.
    """

    kind: Literal["page"] = "page"
    how: Literal["repeated", "reordered", "short"]
    method: str = "messages.getHistory"


class Undecodable(Rule):
    """The messages of these ids are of a type that no client knows: an answer that holds one cannot be decoded."""

    kind: Literal["undecodable"] = "undecodable"
    ids: frozenset[PositiveInt]
    method: str = "messages.getHistory"


class TransportError(Rule):
    """A bare transport error in the place of the answer: 404 (key unknown) or 429 (too many connections)."""

    kind: Literal["transport_error"] = "transport_error"
    code: Literal[404, 429]


AnyRule = Annotated[
    Error | FloodBucket | Latency | Drop | LostAnswer | CorruptFrame | PageFault | Undecodable | TransportError,
    Field(discriminator="kind"),
]


class FaultScript(_Model):
    """A fault file: rules in the order in which they are asked, and the seed of their dice."""

    seed: int = 0
    rules: list[AnyRule] = Field(default_factory=list)


def matches(rule: Rule, params: dict[str, Any], chat: str | None) -> bool:
    """Whether every entry of the rule's `when` holds for a request."""
    for name, wanted in rule.when.items():
        value: Any = chat if name == "chat" else _dig(params, name)
        if isinstance(wanted, Bounds):
            if not wanted.holds(value):
                return False
        elif isinstance(wanted, str) and isinstance(value, str):
            if wanted.lstrip("@").lower() != value.lower():
                return False
        elif wanted != value:
            return False
    return True


def _dig(params: Any, path: str) -> Any:
    for name in path.split("."):
        params = params.get(name) if isinstance(params, dict) else None
    return params
