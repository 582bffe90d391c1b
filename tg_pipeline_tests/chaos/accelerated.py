"""Time that runs faster, the same for every process that is given the same origin."""

import asyncio
import time
from dataclasses import dataclass

SPEED = 10.0
"""Seconds of the schedule in one real second: floods of seconds cost tenths, and 100 ms of a process's sloth one."""


def steady() -> float:
    """Seconds since the machine was started, accelerated."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) * SPEED


@dataclass
class AcceleratedClock:
    """Wall time began at `origin` when `steady()` was `began`; after `jump_after` readings it is `jump` seconds off."""

    origin: float
    began: float
    jump: float = 0.0
    jump_after: int = 0
    readings: int = 0

    def now(self) -> float:
        self.readings += 1
        off = self.jump if self.readings > self.jump_after else 0.0
        return self.origin + steady() - self.began + off

    def steady(self) -> float:
        return steady()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)
