"""What is counted of waits: the time that passed, not the sum of who waited."""

from tg_pipeline.contracts.meter import CallMeter


def test_calls_that_wait_side_by_side_wait_once() -> None:
    meter, times = CallMeter(), iter((10.0, 25.0, 40.0, 42.0))
    with meter.waiting("rate", lambda: next(times)), meter.waiting("rate", lambda: next(times)):
        pass
    assert meter.waits == {"rate": 15.0}
    with meter.waiting("flood", lambda: next(times)):
        pass
    assert meter.waits == {"rate": 15.0, "flood": 2.0}
    assert meter.waited_seconds == 17.0


def test_what_telegram_asks_side_by_side_counts_once_and_apart_from_what_is_slept() -> None:
    meter = CallMeter()
    assert [meter.asked("a", 6, now) for now in (0.0, 0.5, 4.0)] == [6.0, 0.5, 3.5]
    assert meter.asked("b", 6, 4.0) == 6.0
    assert meter.asked("a", 6, 100.0) == 6.0
    assert meter.asked_seconds == 22.0
    times = iter((0.0, 13.0, 20.0, 21.0))
    for reason in ("flood", "rate"):
        with meter.waiting(reason, lambda: next(times)):
            pass
    assert (meter.slept_for_floods, meter.waited_seconds) == (13.0, 14.0)
