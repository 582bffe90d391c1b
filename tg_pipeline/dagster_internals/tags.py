"""Tags of run retries. Waits for public names of them, which Dagster's documentation quotes as text."""

from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    MAX_RETRIES_TAG,
    RETRY_NUMBER_TAG,
    ROOT_RUN_ID_TAG,
    RUN_FAILURE_REASON_TAG,
)

__all__ = [
    "AUTO_RETRY_RUN_ID_TAG",
    "MAX_RETRIES_TAG",
    "RETRY_NUMBER_TAG",
    "ROOT_RUN_ID_TAG",
    "RUN_FAILURE_REASON_TAG",
    "RunFailureReason",
]
