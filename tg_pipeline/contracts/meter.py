"""What a piece of work cost, counted where it is spent and shown to people afterwards."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallMeter:
    """Counts of one connection's life.

    `calls` and `floods` are by method; `calls` counts every attempt sent to the server. `waits` are seconds by reason:
    "rate" for those our own budget asked for, "flood", "premium" and "takeout" for Telegram's. Calls that wait side by
    side wait once. `asked_seconds` are what Telegram asked this connection to wait, each second once however many
    answers asked for it. Slept is more: a little longer each time, and where Telegram asked another process.
    """

    calls: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    floods: Counter[str] = field(default_factory=Counter)
    waits: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    asked_seconds: float = 0.0
    connections: int = 0
    _waiting: Counter[str] = field(default_factory=Counter)
    _since: dict[str, float] = field(default_factory=dict)
    _asked_until: dict[str, float] = field(default_factory=dict)

    def asked(self, method: str, seconds: float, now: float) -> float:
        """Count a flood wait that Telegram asks for, and return how many of its seconds nobody had asked for yet."""
        until = max(self._asked_until.get(method, now), now)
        more = max(0.0, now + seconds - until)
        self._asked_until[method] = until + more
        self.asked_seconds += more
        return more

    @contextmanager
    def waiting(self, reason: str, steady: Callable[[], float]) -> Iterator[None]:
        """Count the time that the block takes as a wait; `steady` gives it in seconds."""
        if not self._waiting[reason]:
            self._since[reason] = steady()
        self._waiting[reason] += 1
        try:
            yield
        finally:
            self._waiting[reason] -= 1
            if not self._waiting[reason]:
                self.waits[reason] += steady() - self._since[reason]

    @property
    def total_calls(self) -> int:
        """Every attempt of every method."""
        return self.calls.total()

    @property
    def total_retries(self) -> int:
        """Every attempt after a first one."""
        return self.retries.total()

    @property
    def slept_for_floods(self) -> float:
        """Seconds slept because Telegram asked to wait."""
        return sum(seconds for reason, seconds in self.waits.items() if reason != "rate")

    @property
    def waited_seconds(self) -> float:
        """Every wait, of any cause."""
        return sum(self.waits.values())
