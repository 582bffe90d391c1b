"""Running a coroutine from a verb so that Ctrl-C and SIGTERM end it in order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Terminated(BaseException):
    """SIGTERM came; the work stopped in order."""


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

    return asyncio.run(guarded())
