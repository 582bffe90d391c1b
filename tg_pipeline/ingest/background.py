"""Work beside the event loop that is never left behind when its owner is cancelled."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

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
