"""Running a coroutine from a verb so that Ctrl-C and SIGTERM end it in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.machine.stopping import Interrupted, obeying_signals

T = TypeVar("T")


class Terminated(BaseException):
    """SIGTERM came; the work stopped in order."""


def interruptible() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt wherever it comes; of work in asyncio, its cancellation."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. At SIGTERM the work is cancelled, its clean-up runs, and Terminated is raised."""

    async def guarded() -> T:
        task = asyncio.ensure_future(work)
        terminated = False

        def stop() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        try:
            return await task
        except asyncio.CancelledError:
            if terminated:
                raise Terminated from None
            raise

    interruptible()
    return asyncio.run(guarded())


def run_stoppably(work: Callable[[Stop], Coroutine[Any, Any, T]]) -> T:
    """Run to the end. A signal lets the work finish what is in hand; then KeyboardInterrupt or Terminated is raised.

    Work that is whole by then is done: its result counts.
    """
    try:
        result, _ = asyncio.run(obeying_signals(work))
    except Interrupted as interrupted:
        raise (KeyboardInterrupt if interrupted.number is signal.SIGINT else Terminated) from None
    return result
