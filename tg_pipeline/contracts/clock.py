"""Time as a value that is handed in, so that no test waits for real."""

from typing import Protocol


class Clock(Protocol):
    """Wall time, time that is never stepped, and waiting."""

    def now(self) -> float:
        """POSIX seconds. Jumps when somebody sets the machine's clock."""

    def steady(self) -> float:
        """Seconds since the machine was started: the same for all its processes, and never set back or forward."""

    async def sleep(self, seconds: float) -> None:
        """Give way for `seconds`."""
