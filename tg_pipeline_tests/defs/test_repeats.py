"""A traceback that repeats does not fill a disk."""

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.defs.repeats import OnceInFull, QuietInstance
from tg_pipeline.settings import PROJECT_DIRECTORY, Settings

TRACEBACK = "Failed to add heartbeat: \n%s\nStack Trace:\n  File x, line 1\n"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logger(clock: Clock) -> Iterator[logging.Logger]:
    """Whose lines pass the filter, and `caplog`."""
    found = logging.getLogger("dagster.daemon.test_repeats")
    kept = OnceInFull(clock)
    found.addFilter(kept)
    yield found
    found.removeFilter(kept)


def test_a_traceback_is_logged_in_full_once_an_hour_and_in_a_line_once_a_minute(
    logger: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2 * 3_600):
        logger.error(TRACEBACK, "disk is full")
        clock.now += 1
    said = [record.getMessage() for record in caplog.records]
    assert [number for number, text in enumerate(said) if "Stack Trace" in text] == [0, 60]
    assert said[1] == "Failed to add heartbeat: disk is full (60 times since it was logged in full)"
    assert len(said) <= 121


def test_each_error_is_logged_in_full(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    for error in ("disk is full", "database is locked"):
        logger.error(TRACEBACK, error)
        for _ in range(2):
            try:
                raise ValueError(error)
            except ValueError:
                logger.exception("It failed")
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    "text",
    [
        "Caught an error dequeuing run {uuid}\nDagsterUserCodeUnreachableError: no answer\nStack Trace:\n  File x",
        "Backfill failed for {uuid}.1764355555000: \nCould not load {uuid}\nStack Trace:\n  File x",
        "Backfill failed for {letters}: \nCould not load it\nStack Trace:\n  File x",
    ],
)
def test_the_same_for_another_run_is_a_repeat(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    for number in range(9):
        logger.error(text.format(uuid=uuid4(), letters="abcdefgh"[number:] + "ijklmnop"[:number]))
    assert len(caplog.records) == 1


def test_what_is_no_traceback_passes(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        logger.warning("A line.")
    assert len(caplog.records) == 3


def test_dagster_loads_it_from_our_dagster_yaml_and_its_daemons_log_through_it(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, dagster_home=tmp_path)
    (tmp_path / "dagster.yaml").symlink_to(PROJECT_DIRECTORY / "dagster.yaml")
    handler = logging.NullHandler()
    with open_instance(settings) as instance:
        assert isinstance(instance, QuietInstance)
        assert instance.python_log_level == settings.log_level == "INFO"
        logging.getLogger("dagster").addHandler(handler)
        try:
            for _ in range(2):
                instance.get_daemon_heartbeats()
        finally:
            logging.getLogger("dagster").removeHandler(handler)
    assert [type(found) for found in handler.filters] == [OnceInFull]
