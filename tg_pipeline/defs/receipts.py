"""Receipts for day files that are in place."""

from datetime import date

from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.storage.commit import receipt_of
from tg_pipeline.storage.day_store import DayStore


def receipt(store: DayStore, slug: str, day: date) -> CommittedDay:
    """As of a commit that changed nothing: what the file says of itself. A StorageError where there is none."""
    path = store.path(slug, day)
    header = store.header(slug, day)
    if header is None:
        raise StorageError(f"{slug} has no day file for {day}: {path} does not exist.")
    return receipt_of(path, header, size_bytes=path.stat().st_size, changed=False)
