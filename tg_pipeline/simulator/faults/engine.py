"""Judging requests by a fault script."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tg_pipeline.simulator.faults.rules import AnyRule, Error, FaultScript, FloodBucket, Latency, matches


@dataclass
class Bucket:
    """The state of one token bucket; times are seconds of the monotonic clock."""

    tokens: float
    filled_at: float
    blocked_until: float = 0.0

    def wait(self, rule: FloodBucket, now: float) -> int:
        """Whole seconds to wait before calling again; 0 where this call is let through."""
        if now < self.blocked_until:
            self.blocked_until += rule.wait_seconds
        else:
            self.tokens = min(rule.burst, self.tokens + (now - self.filled_at) * rule.rate)
            self.filled_at = now
            if self.tokens >= 1:
                self.tokens -= 1
                return 0
            self.blocked_until = now + rule.wait_seconds
        return math.ceil(self.blocked_until - now)


@dataclass
class Armed:
    """A rule and what it has done so far."""

    rule: AnyRule
    dice: random.Random
    bucket: Bucket
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        """Whether this matching request is one to strike at."""
        self.seen += 1
        if self.seen <= self.rule.skip or self.struck == self.rule.count:
            return False
        if self.rule.probability < 1 and self.dice.random() >= self.rule.probability:
            return False
        self.struck += 1
        return True


@dataclass
class Verdict:
    """What becomes of a request: an extra delay in seconds, and the rule that decided, if any did."""

    delay: float = 0.0
    rule: AnyRule | None = None


@dataclass
class Faults:
    """The rules in force. `monotonic` is the clock of the token buckets."""

    monotonic: Callable[[], float] = time.monotonic
    armed: list[Armed] = field(default_factory=list)
    seed: int = 0

    def load(self, script: FaultScript) -> None:
        """Put a script in the place of whatever rules there were."""
        self.clear()
        self.seed = script.seed
        self.add(*script.rules)

    def add(self, *rules: AnyRule) -> None:
        """Append rules, to be asked after those there are."""
        for rule in rules:
            dice = random.Random(f"{self.seed}:{len(self.armed)}")
            burst = rule.burst if isinstance(rule, FloodBucket) else 0
            self.armed.append(Armed(rule, dice, Bucket(burst, self.monotonic())))

    def clear(self) -> None:
        """Remove all rules."""
        self.armed.clear()

    @property
    def rules(self) -> Sequence[AnyRule]:
        """The rules in force, in order."""
        return [armed.rule for armed in self.armed]

    def judge(self, method: str, params: dict[str, Any], chat: str | None, dc_id: int) -> Verdict:
        """What the rules say of one request. `chat` is the username of the chat concerned, if one is."""
        verdict = Verdict()
        for armed in self.armed:
            rule = armed.rule
            if not (fnmatchcase(method, rule.method) and matches(rule, params, chat)):
                continue
            if isinstance(rule, Error) and rule.migrates_to() == dc_id:
                continue
            if not armed.strikes():
                continue
            if isinstance(rule, Latency):
                verdict.delay += (rule.ms + armed.dice.random() * rule.jitter_ms) / 1000
            elif isinstance(rule, FloodBucket):
                if wait := armed.bucket.wait(rule, self.monotonic()):
                    verdict.rule = Error(error=f"FLOOD_WAIT_{wait}")
                    break
            else:
                verdict.rule = rule
                break
        return verdict
