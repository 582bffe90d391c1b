"""Publishes the events of a run while it works, from a thread of its own: a slow Redis does not hold up the fetch."""

import logging
import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Literal

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.errors import TRY_LATER, CircuitOpen
from tg_pipeline.contracts.events import Event

PAUSE_SECONDS = 1.0
"""Between two events of progress, and before trying again what could not be published."""
GIVE_UP_SECONDS = 2.0
"""How long the end of a run may wait for events that are still to be published. The sensors publish the rest."""

Guard = Callable[[Callable[[], object]], None]
"""Makes a call as often and as long as the policy allows; raises one of TRY_LATER."""

log = logging.getLogger(__name__)


class Reporter:
    """Publishes the events of one run in their order. Close it at the end; each other method returns at once.

    `release` closes what publishing needs. It is called once, when nothing is left to publish.
    """

    def __init__(self, queue: CommandQueue, guard: Guard, release: Callable[[], None]) -> None:
        self._queue = queue
        self._guard = guard
        self._release = release
        self._started: Event | None = None
        self._progress: tuple[Event, dict[str, int]] | None = None
        self._ended: tuple[Event, Event] | None = None
        self._closing = False
        self._given_up = False
        self._wake = threading.Condition()
        # In the context of the run, so that lines logged by the thread carry its command.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="events", daemon=True)
        self._thread.start()

    def started(self, event: Event) -> None:
        """The run began; the first of a command's runs publishes the command's start."""
        self._tell(lambda: setattr(self, "_started", event))

    def progress(self, event: Event, day: str, messages: int) -> None:
        """A day was committed. Days that come faster than events may be sent share an event."""

        def add() -> None:
            days = self._progress[1] if self._progress else {}
            self._progress = (event, {**days, day: messages})

        self._tell(add)

    def ended(self, event: Event, started: Event) -> None:
        """All is over. `started` goes before it where it is not out yet."""
        self._tell(lambda: setattr(self, "_ended", (event, started)))

    def close(self, seconds: float = GIVE_UP_SECONDS) -> None:
        """Wait up to so long for what is to be published."""
        self._tell(lambda: setattr(self, "_closing", True))
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._given_up = True
            log.warning("Redis did not take this run's last events; a sensor publishes its end.")

    def _tell(self, change: Callable[[], None]) -> None:
        with self._wake:
            change()
            self._wake.notify()

    def _run(self) -> None:
        try:
            self._publish_all()
        finally:
            self._release()

    def _publish_all(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or any(self._pending()))
                if self._given_up or (self._closing and not any(self._pending())):
                    return
            try:
                pause = self._publish()
            except TRY_LATER as error:
                pause = max(PAUSE_SECONDS, error.seconds if isinstance(error, CircuitOpen) else 0.0)
            if pause:
                with self._wake:
                    self._wake.wait_for(lambda: self._closing or self._ended is not None, pause)

    def _pending(self) -> Iterable[object]:
        return (self._started, self._progress, self._ended)

    def _publish(self) -> float:
        """Publish what comes next; how long to wait before the one after that."""
        if (started := self._started) is not None:
            self._guard(lambda: self._queue.start(started))
            self._done("_started", started)
            return 0.0
        if (progress := self._progress) is not None:
            self._guard(lambda: self._queue.progress(*progress))
            self._done("_progress", progress)
            return PAUSE_SECONDS
        if (ended := self._ended) is not None:
            self._guard(lambda: self._queue.finish(ended[0], started=ended[1]))
            self._done("_ended", ended)
        return 0.0

    def _done(self, name: Literal["_started", "_progress", "_ended"], done: object) -> None:
        with self._wake:
            if getattr(self, name) is done:
                setattr(self, name, None)
