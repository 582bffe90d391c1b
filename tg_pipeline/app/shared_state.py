"""What all processes of an instance agree on, kept where the settings say."""

import socket
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.settings import Settings
from tg_pipeline.state.fallback import FallbackStore
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.state.steady import shared_time
from tg_pipeline.state.store_lease import store_lease


def state_store(settings: Settings, clock: Clock | None = None) -> StateStore:
    """The store in the instance home; where a Redis is set, that one, and the home's while it cannot be reached."""
    directory = settings.home / "state"
    now = shared_time(directory, clock or SystemClock())
    home = SqliteStore(directory / "shared.sqlite", now)
    if settings.redis is None:
        return home
    return FallbackStore(RedisStore(settings.redis, now=now), home)


def lease_among_machines(
    settings: Settings, store: StateStore, name: str, directory: Path, *, what: str, clock: Clock
) -> AbstractAsyncContextManager[None]:
    """A lease among the machines that share a Redis; nothing where none is set.

    The caller must hold the lease of the file system in `directory`, which decides among those who use that directory.
    `what` as in `store_lease`.
    """
    if settings.redis is None:
        return nullcontext()
    holder = f"{socket.gethostname()}:{directory}"
    return store_lease(store, name, holder, what=what, wait_seconds=settings.lease_wait_seconds, clock=clock)
