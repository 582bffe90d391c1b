"""The clock of `contracts.clock` that the machine has."""

import asyncio
import time


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """POSIX seconds of the machine."""
        return time.time()

    def steady(self) -> float:
        """Seconds since the machine was started, those in which it was suspended included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Really wait."""
        await asyncio.sleep(seconds)
