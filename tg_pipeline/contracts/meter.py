"""What a piece of work cost, counted where it is spent and shown to people afterwards."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallMeter:
    """Counts of one connection's life. `calls` is by method, and counts every attempt sent to the server."""

    calls: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    waited_seconds: float = 0.0
    connections: int = 0

    @property
    def total_calls(self) -> int:
        """Every attempt of every method."""
        return self.calls.total()

    @property
    def total_retries(self) -> int:
        """Every attempt after a first one."""
        return self.retries.total()
