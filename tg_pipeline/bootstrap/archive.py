"""The archive and what is kept beside it, as the settings place them."""

import hashlib
from pathlib import Path

from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.storage.day_store import DayStore
from tg_pipeline.storage.progress import Progress


def day_store(settings: Settings) -> DayStore:
    """The day files under DATA_URI."""
    return DayStore(settings.data_root)


def spool_root(settings: Settings) -> Path:
    """What is read and not committed yet, apart for each archive: a request goes on in the one it was begun for."""
    archive = hashlib.sha256(str(settings.data_root).encode()).hexdigest()[:12]
    return settings.home / "spool" / archive


def progress(settings: Settings) -> Progress:
    """`progress.json` beside the day files; its lock is in the instance home."""
    return Progress(settings.data_root, settings.home / "locks")


def peer_cache(settings: Settings) -> PeerCache:
    """What the accounts of this instance have learned of chats."""
    return PeerCache(settings.home / "state" / "peers.sqlite")


def archived_chat_id(store: DayStore, slug: str) -> int | None:
    """The marked id of the chat that the archive holds under that slug, from its newest readable day; None for none."""
    for day in sorted(store.days(slug), reverse=True):
        try:
            header = store.header(slug, day)
        except DayFileError:
            continue
        if header is not None:
            return header.chat_id
    return None
