"""Up to which moment each chat has been read: what the archive does not say, as a quiet chat's files do not change."""

import logging
from collections.abc import Iterable

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.days import day_end
from tg_pipeline.contracts.errors import StateUnavailable, StorageError
from tg_pipeline.contracts.state import StateStore

READ_UP_TO = "read_up_to"
"""A hash of the state store: slug -> POSIX seconds."""

log = logging.getLogger(__name__)


def note_read(store: StateStore, slug: str, moment: float) -> None:
    """Everything of the chat up to `moment` was there to be read, and was; an earlier one than known changes nothing.

    That is for people and alerts, so a store that cannot be written fails nothing. Who calls this holds the chat.
    """
    try:
        if moment > _seconds(store.hash_get(READ_UP_TO).get(slug)):
            store.hash_set(READ_UP_TO, {slug: repr(moment).encode()})
    except StateUnavailable as error:
        log.warning("That %s was read is not noted: %s", slug, error)


def lags(store: StateStore, archive: Archive, slugs: Iterable[str], now: float) -> dict[str, float]:
    """Seconds since a fetch last reached the chat's newest message; without those of which that is not known.

    A fetch that ends with a day which is over reached what was the newest message when that day ended. Where nothing
    is noted, as the state was lost or is older than this, the newest day file says it: a sealed one reaches to the end
    of its day, another to when it was last written. StateUnavailable.
    """
    noted = {slug: _seconds(value) for slug, value in store.hash_get(READ_UP_TO).items()}
    reached = {slug: noted.get(slug) or _archived(archive, slug) for slug in slugs}
    return {slug: max(0.0, now - moment) for slug, moment in reached.items() if moment}


def _archived(archive: Archive, slug: str) -> float | None:
    try:
        for day in reversed(list(archive.days(slug))):
            header = archive.header(slug, day)
            return day_end(day) if header and header.sealed else archive.written_at(slug, day)
    except StorageError:
        return None
    return None


def _seconds(value: bytes | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0
