import dagster as dg
import pytest

from tg_pipeline.contracts import errors
from tg_pipeline.contracts.policy import OUTAGE_RETRIES
from tg_pipeline.defs.failures import (
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    STEP_RETRIES,
    raise_to_dagster,
)

NOON = 1_704_110_400.0
"""2024-01-01 12:00:00 UTC."""


def failed(error: errors.TgPipelineError, retry_number: int = 0) -> dg.Failure:
    with pytest.raises(dg.Failure) as raised:
        raise_to_dagster(error, "busy", retry_number=retry_number, now=NOON)
    return raised.value


def retried(error: errors.TgPipelineError, retry_number: int = 0) -> dg.RetryRequested:
    with pytest.raises(dg.RetryRequested) as raised:
        raise_to_dagster(error, "busy", retry_number=retry_number, now=NOON)
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        errors.NetworkError("gone"),
        errors.DeadlineExceeded("late"),
        errors.ServerError("500"),
        errors.PageIntegrityError("odd"),
        errors.LeaseUnavailable("in use"),
        errors.StateUnavailable("away"),
    ],
)
def test_what_may_succeed_later_is_tried_again_after_a_pause(error: errors.TgPipelineError) -> None:
    assert retried(error).seconds_to_wait == PAUSE_SECONDS
    assert retried(error, STEP_RETRIES - 1).max_retries == STEP_RETRIES


def test_a_flood_wait_is_waited_for_as_long_as_telegram_says() -> None:
    assert retried(errors.FloodWaitError(420, "messages.getHistory")).seconds_to_wait == 420


def test_an_open_breaker_is_sat_out_for_some_twenty_minutes() -> None:
    again = retried(errors.CircuitOpen("telegram", 42.1), STEP_RETRIES)
    assert (again.seconds_to_wait, again.max_retries) == (43, OUTAGE_RETRIES)
    assert OUTAGE_RETRIES * PAUSE_SECONDS >= 1_200
    failure = failed(errors.CircuitOpen("telegram", 60), OUTAGE_RETRIES)
    assert failure.metadata["try_again_after"].value == "2024-01-01 12:01:00 UTC"


def test_a_full_disk_is_sat_out_for_as_long() -> None:
    again = retried(errors.DiskFull("full"), STEP_RETRIES)
    assert (again.seconds_to_wait, again.max_retries) == (PAUSE_SECONDS, OUTAGE_RETRIES)


def test_a_flood_wait_longer_than_a_run_may_wait_says_when() -> None:
    failure = failed(errors.FloodWaitError(LONGEST_PAUSE_SECONDS + 60, "messages.getHistory"))
    assert failure.metadata["try_again_after"].value == "2024-01-01 13:01:00 UTC"
    assert failure.allow_retries


def test_after_the_last_retry_it_is_a_sentence_that_says_when() -> None:
    failure = failed(errors.NetworkError("The line is dead."), STEP_RETRIES)
    assert failure.description == "busy: The line is dead."
    assert failure.metadata["error"].value == "NetworkError"
    assert failure.metadata["try_again_after"].value == "2024-01-01 12:01:00 UTC"


@pytest.mark.parametrize(
    "error",
    [
        errors.ChatPrivate("private"),
        errors.SessionRevoked("revoked"),
        errors.InputError("impossible"),
        errors.SettingsError("wrong"),
        errors.StorageError("read-only file system"),
    ],
)
def test_what_a_person_must_look_at_is_not_tried_again(error: errors.TgPipelineError) -> None:
    failure = failed(error)
    assert not failure.allow_retries
    assert "try_again_after" not in failure.metadata


def test_the_way_to_our_sentence_is_not_shown() -> None:
    assert failed(errors.ChatPrivate("private")).__suppress_context__
