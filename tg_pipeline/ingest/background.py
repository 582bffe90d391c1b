"""Work beside the event loop that is never left behind when its owner is cancelled."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from tg_pipeline.contracts.errors import RetryableError

TURNS_TO_SEND = 6

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def to_its_end(work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run in a thread. A cancellation waits for the thread: it writes to files that are closed afterwards."""
    thread = asyncio.create_task(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await _settled(thread)
        raise


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait until it has ended; what it ended with interests nobody."""
    task.cancel()
    await _settled(task)


async def _settled(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


async def until_sent() -> None:
    """Let a request that was just made reach its socket, which takes a few turns of the event loop.

    What follows keeps the loop busy for a millisecond or two: it is to do so while the server is busy as well. (A
    thread would not help: it would hold the interpreter lock against the very turns that send the request.)
    """
    for _ in range(TURNS_TO_SEND):
        await asyncio.sleep(0)


def worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What stopped several tasks: of their errors, one that trying again would not mend."""
    errors = group.exceptions
    return next((error for error in errors if not isinstance(error, RetryableError)), errors[0])
