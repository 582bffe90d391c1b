"""Time as a value that is handed in, so that no test waits for real."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and waiting."""

    def now(self) -> float:
        """POSIX seconds."""

    async def sleep(self, seconds: float) -> None:
        """Give way for `seconds`."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """POSIX seconds of the machine."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Really wait."""
        await asyncio.sleep(seconds)
