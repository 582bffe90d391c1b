"""Our error tree as Dagster's: which step is tried again, when, and the sentence that a person reads."""

import math
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import dagster as dg

from tg_pipeline.contracts.errors import TRY_LATER, CircuitOpen, DiskFull, FloodWaitError, TgPipelineError
from tg_pipeline.contracts.policy import OUTAGE_RETRIES

STEP_RETRIES = 2
PAUSE_SECONDS = 60
"""Before a step is tried again, where Telegram did not say how long. The calls' own retries are behind it by then."""
LONGEST_PAUSE_SECONDS = 3_600
"""A run holds its slot and its process while it waits; a longer wait is left to the next run."""


def pause_before_retry(error: TgPipelineError) -> int | None:
    """Seconds after which the same step may succeed; None where it will not until a person acts."""
    if isinstance(error, FloodWaitError | CircuitOpen):
        return math.ceil(error.seconds)
    return PAUSE_SECONDS if isinstance(error, TRY_LATER) else None


def raise_to_dagster(error: TgPipelineError, slug: str, *, retry_number: int, now: float) -> NoReturn:
    """Raise what ends or repeats the step. `retry_number` is Dagster's, 0 at first; `now` in POSIX seconds.

    A repeated step goes on where it stopped: days that were committed are not read again.
    """
    pause = pause_before_retry(error)
    retries = OUTAGE_RETRIES if isinstance(error, CircuitOpen | DiskFull) else STEP_RETRIES
    if pause is not None and pause <= LONGEST_PAUSE_SECONDS and retry_number < retries:
        raise dg.RetryRequested(max_retries=retries, seconds_to_wait=pause) from error
    metadata = {"error": dg.MetadataValue.text(type(error).__name__)}
    if pause is not None:
        again = datetime.fromtimestamp(now, UTC) + timedelta(seconds=pause)
        metadata["try_again_after"] = dg.MetadataValue.text(again.strftime("%Y-%m-%d %H:%M:%S UTC"))
    raise dg.Failure(f"{slug}: {error}", metadata=metadata, allow_retries=pause is not None) from None
