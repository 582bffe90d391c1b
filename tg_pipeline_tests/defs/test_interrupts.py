import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tg_pipeline.contracts.errors import NetworkError, Stopped
from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.defs.interrupts import run_interruptibly
from tg_pipeline.machine import stopping


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


async def unheeding(number: signal.Signals, log: list[str], stop: Stop) -> None:
    """Work that is signalled twice and does not care to stop."""

    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("other task cleaned up")

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    try:
        os.kill(os.getpid(), number)
        await stop.wait()
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()
    finally:
        log.append("cleaned up")
        task.cancel()


def test_a_signal_lets_the_work_stop_and_then_reaches_dagsters_handler(number: signal.Signals) -> None:
    log: list[str] = []

    async def work(stop: Stop) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        log.append("finished what was in hand")
        raise Stopped("x")

    with pytest.raises(InterruptedByTestError):
        run_interruptibly(work)
    assert log == ["finished what was in hand"]


def test_a_signal_that_comes_too_late_to_stop_the_work_reaches_dagsters_handler_all_the_same(
    number: signal.Signals,
) -> None:
    async def work(stop: Stop) -> int:
        os.kill(os.getpid(), number)
        await stop.wait()
        return 7

    with pytest.raises(InterruptedByTestError):
        run_interruptibly(work)


def test_work_that_fails_after_a_signal_is_interrupted_and_not_tried_again(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(stop: Stop) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        raise NetworkError("The connection was reset.")

    with pytest.raises(InterruptedByTestError):
        run_interruptibly(work)
    assert f"The connection was reset. Ended 0.0 s after {number.name}." in caplog.text


def test_a_second_signal_cancels_the_work_and_lets_it_clean_up(number: signal.Signals) -> None:
    log: list[str] = []
    with pytest.raises(InterruptedByTestError):
        run_interruptibly(partial(unheeding, number, log))
    assert sorted(log) == ["cleaned up", "other task cleaned up"]


def test_work_that_does_not_stop_is_cancelled_after_a_while(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.05)

    async def work(_: Stop) -> None:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    with pytest.raises(InterruptedByTestError):
        run_interruptibly(work)


def test_afterwards_the_handlers_are_those_of_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    async def work(_: Stop) -> int:
        return 7

    assert run_interruptibly(work) == 7
    assert signal.getsignal(number) is before


def test_an_ignored_signal_cancels_all_the_same() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(asyncio.CancelledError):
            run_interruptibly(partial(unheeding, signal.SIGTERM, []))
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_cancellation_of_the_works_own_is_passed_on() -> None:
    async def work(_: Stop) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_interruptibly(work)


def test_in_a_thread_where_no_signal_comes_it_just_runs() -> None:
    results: list[int] = []

    async def work(_: Stop) -> int:
        return 7

    thread = threading.Thread(target=lambda: results.append(run_interruptibly(work)))
    thread.start()
    thread.join()
    assert results == [7]
