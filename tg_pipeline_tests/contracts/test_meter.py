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
