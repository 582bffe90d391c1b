"""Several chats fetched at once over one connection. Each succeeds or fails by itself."""

import asyncio

from tg_pipeline.app.fetch import fetch
from tg_pipeline.app.logins import SharedLogins
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import Stopped
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.contracts.stopping import Stop, StoppableClock
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.settings import Settings


class ChatsAtOnce:
    """Fetches chats for one event loop, PARALLELISM_MAX at once; the others wait for their turn in the order they came.

    Their calls share one connection and the budget of its account. The session is free again when no fetch is left.
    `prefer` as in `SharedLogins`.
    """

    def __init__(self, settings: Settings, stop: Stop, clock: Clock | None = None, prefer: str | None = None) -> None:
        self._settings = settings
        self._stop = stop
        self._clock = clock or SystemClock()
        self._logins = SharedLogins(settings, StoppableClock(self._clock, stop), prefer)
        self._turns = asyncio.Semaphore(settings.parallelism_max)
        self._unfinished = 0

    async def fetch(self, chat: RegisteredChat, days: DayRange, on_progress: OnProgress | None = None) -> FetchReport:
        """As `app.fetch.fetch`."""
        self._unfinished += 1
        try:
            async with self._turns:
                if self._stop.asked:
                    raise Stopped(f"{chat.slug}: stopped as asked before it began.")
                return await fetch(
                    *(self._settings, chat, days, self._stop),
                    on_progress=on_progress,
                    clock=self._clock,
                    open_login=self._logins.login,
                )
        finally:
            self._unfinished -= 1
            if not self._unfinished:
                await self._logins.close()
