"""The fetches of one run: all its chats share a connection, and each step waits for its own chat.

Dagster's in-process executor carries out one step after the other. So the fetches run on an event loop in a thread of
their own: the first step begins those of all the run's chats, and each step takes what became of its chat. To Dagster
every chat is what it is in a run of its own: a step with its events, its retries, its hooks and its check.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchProgress, FetchReport, OnProgress
from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.defs.interrupts import run_interruptibly
from tg_pipeline.machine.stopping import GRACE_SECONDS
from tg_pipeline.monitoring.metrics import pushed
from tg_pipeline.settings import Settings

if TYPE_CHECKING:
    from tg_pipeline.app.chats_at_once import ChatsAtOnce


class RunFetches:
    """Used by the steps of one run, from one thread; closed when the run ends. `prefer` as in `ChatsAtOnce`."""

    def __init__(self, settings: Settings, prefer: str | None = None) -> None:
        self._settings = settings
        self._prefer = prefer
        self._begun: dict[str, _Begun] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._at_once: ChatsAtOnce
        self._stop: Stop
        self._closing: asyncio.Event
        self._stopped_at: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no fetch was begun yet."""
        return self._thread is None

    def begin(self, chat: RegisteredChat, days: DayRange, within: AbstractContextManager[None]) -> None:
        """Begin to fetch the chat, `within` that; nothing where its fetch was begun and nobody has waited for it."""
        if chat.slug in self._begun:
            return
        if self._thread is None:
            self._start()
        begun = self._begun[chat.slug] = _Begun()
        begun.future = asyncio.run_coroutine_threadsafe(self._fetch(chat, days, begun, within), self._loop)

    def wait(self, slug: str, on_progress: OnProgress) -> FetchReport:
        """What became of a fetch that was begun; as `app.fetch.fetch`. Calls `on_progress` for committed days only."""
        begun = self._begun.pop(slug)
        begun.future.add_done_callback(begun.notify)
        return run_interruptibly(partial(self._follow, begun, on_progress))

    def close(self) -> None:
        """End what is under way in order, or cancel it where that takes too long, and end the thread."""
        if self._thread is None:
            return
        self._ask_to_stop()
        left = GRACE_SECONDS - (time.monotonic() - (self._stopped_at or 0.0))
        _, late = futures.wait([begun.future for begun in self._begun.values()], timeout=max(0.0, left))
        for future in late:
            future.cancel()
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _start(self) -> None:
        from tg_pipeline.app.chats_at_once import ChatsAtOnce  # noqa: PLC0415 - brings Telethon, for fetches only

        ready = threading.Event()

        async def serve() -> None:
            self._loop, self._stop, self._closing = asyncio.get_running_loop(), Stop(), asyncio.Event()
            self._at_once = ChatsAtOnce(self._settings, self._stop, prefer=self._prefer)
            ready.set()
            await self._closing.wait()

        def run() -> None:
            with pushed(self._settings):
                asyncio.run(serve())

        self._thread = threading.Thread(target=run, name="fetches", daemon=True)
        self._thread.start()
        ready.wait()

    async def _fetch(
        self, chat: RegisteredChat, days: DayRange, begun: "_Begun", within: AbstractContextManager[None]
    ) -> FetchReport:
        with within:
            return await self._at_once.fetch(chat, days, begun.note)

    async def _follow(self, begun: "_Begun", on_progress: OnProgress, stop: Stop) -> FetchReport:
        """Hand on the fetch's progress and its end; a stop that is asked for here is one of all fetches."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        begun.wake = lambda: loop.call_soon_threadsafe(news.set)
        stopping = asyncio.create_task(self._pass_on(stop))
        try:
            while True:
                news.clear()
                is_over = begun.future.done()
                while begun.committed:
                    on_progress(begun.committed.popleft())
                if is_over:
                    return begun.future.result()
                await news.wait()
        finally:
            stopping.cancel()
            begun.future.cancel()

    async def _pass_on(self, stop: Stop) -> None:
        await stop.wait()
        self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        self._stopped_at = self._stopped_at or time.monotonic()
        self._loop.call_soon_threadsafe(self._stop.ask)


@dataclass
class _Begun:
    """A fetch under way, and what of its progress nobody has seen yet."""

    committed: deque[FetchProgress] = field(default_factory=deque)
    wake: Callable[[], object] = bool
    future: futures.Future[FetchReport] = field(init=False)

    def note(self, moment: FetchProgress) -> None:
        """On the loop of the fetch."""
        if moment.committed is not None:
            self.committed.append(moment)
            self.notify()

    def notify(self, _: object = None) -> None:
        """Have the follower look again, if there is one still."""
        with suppress(RuntimeError):  # its loop is closed
            self.wake()
