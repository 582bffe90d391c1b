"""The one way to open a Redis, and to say what ails it."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tg_pipeline.contracts.errors import SettingsError, StateUnavailable

TIMEOUT_SECONDS = 1.0


def redis_client(url: str) -> Any:
    """A client that makes every attempt once. What the URL may say besides the address is where and by which TLS."""
    try:
        parts = urlsplit(url)
        strange = sorted(name for name in parse_qs(parts.query) if name != "db" and not name.startswith("ssl_"))
        if strange:
            raise SettingsError(
                f"REDIS_URL: {', '.join(strange)} cannot be set here. Allowed: db and ssl_... of redis-py.",
                field="REDIS_URL",
            )
        if parts.scheme != "unix" and not re.fullmatch(r"/?|/[0-9]+", parts.path):
            raise SettingsError(
                "REDIS_URL: what follows host:port must be the number of a database, as in host:port/0.",
                field="REDIS_URL",
            )
        client = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        client.connection_pool.make_connection()  # does not connect, but looks at the options
    except (ValueError, TypeError, redis.RedisError):
        raise SettingsError(
            "REDIS_URL: not the URL of a Redis. Allowed: redis://[user:password@]host:port/0, rediss:// or unix://.",
            field="REDIS_URL",
        ) from None
    return client


def where(client: Any) -> str:
    """The address, without the password."""
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def unavailable(client: Any, error: Exception) -> StateUnavailable:
    """What to raise after `error`."""
    reason = type(error).__name__
    options = client.connection_pool.connection_kwargs
    if str(error) == "DB index is out of range":
        reason = f"it has no database {options.get('db')}"
    elif str(error).startswith("WRONGTYPE"):
        reason = "one of our keys holds another type of value, which somebody else must have put there"
    elif isinstance(error, redis.AuthenticationError):
        given = options.get("password")
        reason = "it refuses the password" if given else "it wants a password"
    return StateUnavailable(f"Redis at {where(client)} cannot be used ({reason}).")
