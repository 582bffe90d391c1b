"""Ending in order when somebody asks: nothing new is begun, no wait is waited out, what is in hand is finished."""

import asyncio

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import Stopped


class Stop:
    """Whether somebody has asked to stop. It cannot be taken back."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def asked(self) -> bool:
        """Whether to begin nothing new."""
        return self._event.is_set()

    def ask(self) -> None:
        """Ask to stop. From the thread of the event loop."""
        self._event.set()

    async def wait(self) -> None:
        """Until somebody asks."""
        await self._event.wait()


class StoppableClock:
    """A clock whose sleepers wake with `Stopped` when a stop is asked for: every wait of a fetch goes through it."""

    def __init__(self, clock: Clock, stop: Stop) -> None:
        self._clock = clock
        self._stop = stop

    def now(self) -> float:
        """As the clock below."""
        return self._clock.now()

    def steady(self) -> float:
        """As the clock below."""
        return self._clock.steady()

    async def sleep(self, seconds: float) -> None:
        """Give way for `seconds`. Raises Stopped as soon as a stop is asked for."""
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        asked = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((sleeper, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            asked.cancel()
        if self._stop.asked:
            raise Stopped("Stopped as asked, while waiting.")
