"""Signals as a wish to stop: the first lets the work end in order, a second or a long silence cancels it."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.contracts.stopping import Stop

GRACE_SECONDS = 8.0
"""Between the first signal and the cancellation: less than the 10 s that containers get before they are killed."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)

T = TypeVar("T")
log = logging.getLogger(__name__)


class Interrupted(BaseException):
    """The work was ended by a signal, whose number is kept; `after` seconds after it came."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


async def obeying_signals(work: Callable[[Stop], Coroutine[Any, Any, T]]) -> tuple[T, signal.Signals | None]:
    """Run the work in the main thread, handing it what SIGINT and SIGTERM ask for.

    Gives its result, and the signal where one came too late to end it. Raises Interrupted where the work did not come
    to its end after a signal, whatever kept it from that: nobody is to try it again. The loop's handlers of both
    signals are taken off again; those of the process are the caller's business.
    """
    loop, stop = asyncio.get_running_loop(), Stop()
    task = asyncio.ensure_future(work(stop))
    received: list[tuple[signal.Signals, float]] = []

    def receive(number: signal.Signals) -> None:
        received.append((number, time.monotonic()))
        if stop.asked:
            log.warning("%s again: stopping now.", number.name)
            task.cancel()
        else:
            log.warning("%s: finishing what is in hand.", number.name)
            stop.ask()
            loop.call_later(GRACE_SECONDS, task.cancel)

    for number in SIGNALS:
        loop.add_signal_handler(number, receive, number)
    try:
        result = await task
    except (TgPipelineError, asyncio.CancelledError) as error:
        if not received:
            raise
        number, came = received[0]
        log.warning("%s Ended %.1f s after %s.", str(error) or "Cancelled.", time.monotonic() - came, number.name)
        raise Interrupted(number) from None
    else:
        return result, received[0][0] if received else None
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
