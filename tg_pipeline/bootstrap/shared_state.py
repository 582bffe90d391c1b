"""What all processes of an instance agree on, kept where the settings say."""

from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.contracts.clock import Clock, SystemClock
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.state.fallback import FallbackStore
from tg_pipeline.state.redis_store import RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline.state.steady import shared_time


def state_store(settings: Settings, clock: Clock | None = None) -> StateStore:
    """The store in the instance home; where a Redis is set, that one, and the home's while it cannot be reached."""
    directory = settings.home / "state"
    now = shared_time(directory, clock or SystemClock())
    home = SqliteStore(directory / "shared.sqlite", now)
    if settings.redis is None:
        return home
    return FallbackStore(RedisStore(settings.redis, now=now), home)
