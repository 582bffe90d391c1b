"""An event loop in which hours of waiting pass at once: client and server both run in it, over real sockets."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from tg_pipeline.contracts.clock import Clock

T = TypeVar("T")
TICK_SECONDS = 1e-6  # of a clock that stood still, code would wait for ever that is a rounding error short of its time
LEAP_SECONDS = 0.5
SETTLE_SECONDS = 0.001  # of real time before a leap: what was written to a socket of this machine is readable by then


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for the next timer it sets the clock to it, once no socket has anything more to say."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += TICK_SECONDS
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)
        if timeout > LEAP_SECONDS:
            ready = super().select(SETTLE_SECONDS)
        if not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time all but stands still while anything runs, and passes only while all wait."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now


class VirtualClock(Clock):
    """The clock of whoever runs in that loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    steady = now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
