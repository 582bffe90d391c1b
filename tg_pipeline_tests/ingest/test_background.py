"""Threads and tasks that nobody is left with."""

import asyncio
import threading

import pytest

from tg_pipeline.ingest.background import cancel, to_its_end


async def test_a_result_and_an_error_come_through() -> None:
    assert await to_its_end(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await to_its_end(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_waits_for_the_thread(*, fails: bool) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(5)
        ended.set()
        if fails:
            raise ValueError

    task = asyncio.create_task(to_its_end(work))
    while not begun.is_set():  # noqa: ASYNC110 - it is a thread that sets it
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_an_cancel_task_has_ended_and_its_error_is_nobodys() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel(task)
    assert isinstance(task.exception(), ValueError)
    await cancel(task)
