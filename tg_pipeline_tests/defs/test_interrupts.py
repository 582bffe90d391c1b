import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tg_pipeline.defs.interrupts import run_interruptibly


class InterruptedByTestError(BaseException):
    """As Dagster's own: no Exception."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal whose handler raises, as Dagster's does."""
    found: signal.Signals = request.param

    def handler(*_: object) -> None:
        raise InterruptedByTestError

    before = signal.signal(found, handler)
    yield found
    signal.signal(found, before)


async def interrupted(number: signal.Signals, log: list[str]) -> None:
    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("other task cleaned up")

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    try:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()
    finally:
        log.append("cleaned up")
        task.cancel()


def test_a_signal_cancels_the_work_lets_it_clean_up_and_then_reaches_dagsters_handler(number: signal.Signals) -> None:
    log: list[str] = []
    with pytest.raises(InterruptedByTestError):
        run_interruptibly(interrupted(number, log))
    assert sorted(log) == ["cleaned up", "other task cleaned up"]


def test_afterwards_the_handlers_are_those_of_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    async def work() -> int:
        return 7

    assert run_interruptibly(work()) == 7
    assert signal.getsignal(number) is before


def test_an_ignored_signal_cancels_all_the_same() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(asyncio.CancelledError):
            run_interruptibly(interrupted(signal.SIGTERM, []))
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_cancellation_of_the_works_own_is_passed_on() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_interruptibly(work())


def test_in_a_thread_where_no_signal_comes_it_just_runs() -> None:
    results: list[int] = []

    async def work() -> int:
        return 7

    thread = threading.Thread(target=lambda: results.append(run_interruptibly(work())))
    thread.start()
    thread.join()
    assert results == [7]
