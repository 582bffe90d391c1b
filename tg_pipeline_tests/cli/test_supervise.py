import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline.cli import supervise
from tg_pipeline.cli.running import Terminated
from tg_pipeline.cli.supervise import RedisWatch, Service, Supervisor
from tg_pipeline.contracts.errors import TRY_LATER, StateUnavailable
from tg_pipeline.machine.children import commands

NOTES_ITS_SIGNAL = """
trap 'echo SIGINT >> signals; exit' INT
trap 'echo SIGTERM >> signals; exit' TERM
touch ready
while :; do sleep 0.02; done
"""


def has_sleeper(pid: int) -> bool:
    return b"sleep\x0060\0" in commands(parent=pid).values()


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those of this process, as they were before in the end."""
    monkeypatch.setattr(supervise, "LOOK_EVERY_SECONDS", 0.01)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_whatever_asks_it_to_stop_its_services_are_terminated(
    tmp_path: Path, number: signal.Signals, ending: type[BaseException]
) -> None:
    command = ["sh", "-c", NOTES_ITS_SIGNAL]
    service = Service("shell", command, is_ready=(tmp_path / "ready").exists)
    with pytest.raises(ending):
        Supervisor([service], os.environ, tmp_path).run(lambda: os.kill(os.getpid(), number))
    assert (tmp_path / "signals").read_text() == "SIGTERM\n"


@pytest.mark.usefixtures("handlers")
def test_a_silent_service_is_started_again_and_the_time_said_is_that_since_it_did_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A clock that goes on by 4 s a look: the service answers three times, and then no more."""
    now, answers = 0.0, iter([True, True, True])

    def look() -> None:
        nonlocal now
        now += 4.0
        if caplog.records:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("tg_pipeline.cli.supervise.time.monotonic", lambda: now)
    command = ["sh", "-c", NOTES_ITS_SIGNAL]
    service = Service("shell", command, is_ready=(tmp_path / "ready").exists, answers=lambda: next(answers, False))
    with pytest.raises(Terminated):
        Supervisor([service], os.environ, tmp_path).run(look)
    (record,) = caplog.records
    assert record.args == ("shell", 4.0)


@pytest.mark.usefixtures("handlers")
def test_a_service_that_dies_right_after_its_first_answer_is_not_taken_for_one_that_is_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervise, "SILENT_SECONDS", 0.0)
    answers = iter([False, True])

    def look() -> None:
        if caplog.records:
            os.kill(os.getpid(), signal.SIGTERM)

    service = Service("shell", ["sleep", "60"], answers=lambda: next(answers, False))
    with pytest.raises(Terminated):
        Supervisor([service], os.environ, tmp_path).run(look)
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("is_up", [False, True])
def test_a_service_whose_loader_dies_is_started_again_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_up: bool
) -> None:
    """It starts a process, kills that, and waits; the one that is started again answers."""
    script = "test -e begun && exec sleep 60; touch begun; sleep 60 & sleep 0.3; kill -9 $!; exec sleep 60"

    def look() -> None:
        if caplog.records:
            os.kill(os.getpid(), signal.SIGTERM)

    def answers() -> bool:
        return bool(caplog.records)

    service = Service("shell", ["sh", "-c", script], lambda: is_up or answers(), answers, is_loading=has_sleeper)
    with pytest.raises(Terminated):
        Supervisor([service], os.environ, tmp_path).run(look)
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("handlers")
def test_a_service_whose_loader_died_before_anybody_saw_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervise, "LOADER_SECONDS", 0.1)

    def look() -> None:
        if caplog.records:
            os.kill(os.getpid(), signal.SIGTERM)

    def answers() -> bool:
        return bool(caplog.records)

    service = Service("shell", ["sleep", "60"], answers=answers, is_loading=has_sleeper)
    with pytest.raises(Terminated):
        Supervisor([service], os.environ, tmp_path).run(look)
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("handlers")
def test_what_a_service_left_behind_is_cleaned_up_before_it_is_started_again(tmp_path: Path) -> None:
    script = "sleep 60 & exec sleep 0.2"

    def left(pid: int) -> None:
        (child,) = commands(group=pid)
        os.kill(child, signal.SIGKILL)
        cleaned.append(pid)

    def look() -> None:
        if cleaned:
            os.kill(os.getpid(), signal.SIGTERM)

    cleaned: list[int] = []
    with pytest.raises(Terminated):
        Supervisor([Service("shell", ["sh", "-c", script], clean_up=left)], os.environ, tmp_path).run(look)
    assert cleaned


@pytest.mark.usefixtures("handlers")
def test_a_stop_does_not_wait_for_what_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "IDLE_STOP_SECONDS", 0.1)
    asked: list[int] = []

    def idle(pid: int) -> None:
        asked.append(pid)
        os.killpg(pid, signal.SIGKILL)

    script = "trap '' TERM; touch ready; sleep 60; sleep 60"
    deaf = Service("shell", ["sh", "-c", script], is_ready=(tmp_path / "ready").exists, clean_up_idle=idle)
    with pytest.raises(Terminated):
        Supervisor([deaf], os.environ, tmp_path).run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert len(set(asked)) == 1


def away() -> None:
    raise StateUnavailable("Redis is away.")


def test_a_redis_that_is_away_for_too_long_is_worth_trying_later() -> None:
    with pytest.raises(TRY_LATER):
        RedisWatch(away, longest=0.0).look()
    RedisWatch(away, longest=None).look()
