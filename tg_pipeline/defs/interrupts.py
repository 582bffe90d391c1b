"""Running a coroutine in a step so that "Terminate" in the UI, SIGINT and SIGTERM end it in order.

Dagster's signal handler raises DagsterExecutionInterruptedError wherever the main thread happens to be. Within an event
loop that may be a task nobody waits for, and the interrupt is lost.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.machine.stopping import SIGNALS, Interrupted, obeying_signals

T = TypeVar("T")


def run_interruptibly(work: Callable[[Stop], Coroutine[Any, Any, T]]) -> T:
    """Run to the end. At a signal the work ends in order, and then Dagster's own handler is called.

    Also where the work came to its end all the same: the run has been terminated, and other steps may follow.
    """

    async def unheeding() -> T:
        return await work(Stop())

    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(unheeding())  # signals never come here
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def pass_on(number: signal.Signals) -> None:
        if callable(handler := handlers[number]):
            handler(number, None)

    try:
        result, too_late = asyncio.run(obeying_signals(work))
        if too_late is not None:
            pass_on(too_late)
    except Interrupted as interrupted:
        pass_on(interrupted.number)
        raise asyncio.CancelledError from None
    else:
        return result
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
