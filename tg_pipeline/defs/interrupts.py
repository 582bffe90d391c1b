"""Running a coroutine in a step so that "Terminate" in the UI, SIGINT and SIGTERM end it in order.

Dagster's signal handler raises DagsterExecutionInterruptedError wherever the main thread happens to be. Within an event
loop that may be a task nobody waits for, and the interrupt is lost.
"""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_interruptibly(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. At a signal the work is cancelled, cleans up, and then Dagster's own handler is called."""
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)  # signals never come here
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    received: list[signal.Signals] = []

    async def cancelled_by_signals() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)

        def cancel(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, cancel, number)
        return await task

    try:
        return asyncio.run(cancelled_by_signals())
    except asyncio.CancelledError:
        if not received or not callable(handler := handlers[received[0]]):
            raise
        handler(received[0], None)
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
