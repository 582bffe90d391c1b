"""What a piece of work cost, counted where it is spent and shown to people afterwards."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallMeter:
    """Counts of one connection's life.

    `calls` and `floods` are by method; `calls` counts every attempt sent to the server. `waits` are seconds by reason:
    "rate" for those our own budget asked for, "flood", "premium" and "takeout" for Telegram's.
    """

    calls: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    floods: Counter[str] = field(default_factory=Counter)
    waits: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    connections: int = 0

    @property
    def total_calls(self) -> int:
        """Every attempt of every method."""
        return self.calls.total()

    @property
    def total_retries(self) -> int:
        """Every attempt after a first one."""
        return self.retries.total()

    @property
    def waited_seconds(self) -> float:
        """Every wait, whoever asked for it."""
        return sum(self.waits.values())
