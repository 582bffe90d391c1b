"""The archive and what is kept beside it, as the settings place them."""

import hashlib
from pathlib import Path

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import DayHeader
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.settings import Settings
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.journal import interrupted_ranges


def open_archive(settings: Settings) -> Archive:
    """The day files under DATA_URI; what several processes lock is in the instance home."""
    return FileArchive(settings.data_root, settings.home / "locks")


def spool_root(settings: Settings) -> Path:
    """What is read and not committed yet, apart for each archive: a request goes on in the one it was begun for."""
    name = hashlib.sha256(str(settings.data_root).encode()).hexdigest()[:12]
    return settings.home / "spool" / name


def interrupted(settings: Settings, slug: str) -> list[DayRange]:
    """The ranges of which a fetch was cut off, ascending."""
    return interrupted_ranges(spool_root(settings), slug)


def peer_cache(settings: Settings) -> PeerCache:
    """What the accounts of this instance have learned of chats."""
    return PeerCache(settings.home / "state" / "peers.sqlite")


def newest_header(store: Archive, slug: str) -> DayHeader | None:
    """The header of the newest readable day that the archive holds under that slug; it says which chat that is."""
    for day in sorted(store.days(slug), reverse=True):
        try:
            header = store.header(slug, day)
        except DayFileError:
            continue
        if header is not None:
            return header
    return None
