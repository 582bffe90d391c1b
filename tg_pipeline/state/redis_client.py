"""The one way to open a Redis, and to say what ails it."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import product
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tg_pipeline.contracts.errors import SettingsError, StateUnavailable

TIMEOUT_SECONDS = 1.0
KEY_TYPES = frozenset({"string", "list", "hash", "set", "zset", "stream"})
"""All that Redis has of its own."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Outage:
    """Logs once that Redis is away and once that it is back, however many in this process meet that."""

    def __init__(self) -> None:
        self.is_known = False
        self._lock = Lock()

    def begin(self, error: StateUnavailable) -> None:
        """Redis does not answer, and the caller goes on without it."""
        with self._lock:
            if not self.is_known:
                self.is_known = True
                log.warning(
                    "%s Until it is back, commands and events wait, and the state in the instance home serves.", error
                )

    def end(self) -> None:
        """Redis answers."""
        if self.is_known:
            with self._lock:
                if self.is_known:
                    self.is_known = False
                    log.warning("Redis is back; runs of all machines share one state again.")


OUTAGE = Outage()


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


def ask(client: Any, work: Callable[[], T], types: Mapping[str, str]) -> T:
    """Do the work, which calls the client. StateUnavailable where Redis does not answer, or a key is not as it must be.

    `types` are Redis's types of the keys that the caller uses, by name, or by the beginning of a name that ends in ":".
    """
    try:
        answer = work()
    except (redis.RedisError, OSError) as error:
        raise _unavailable(client, error, types) from error
    OUTAGE.end()
    return answer


def _unavailable(client: Any, error: Exception, types: Mapping[str, str]) -> StateUnavailable:
    """What to raise after `error`."""
    reason = _reason(error)
    options = client.connection_pool.connection_kwargs
    if str(error) == "DB index is out of range":
        reason = f"it has no database {options.get('db')}"
    elif "WRONGTYPE" in str(error):  # a script or a pipeline puts words of its own before it
        reason = _wrong_key(client, types) or "one of our keys holds another type of value"
    elif isinstance(error, redis.AuthenticationError):
        given = options.get("password")
        reason = "it refuses the password" if given else "it wants a password"
    return StateUnavailable(f"Redis at {where(client)} cannot be used ({reason}).")


def _wrong_key(client: Any, types: Mapping[str, str]) -> str | None:
    """Which of the keys holds another type of value than ours, and what to do; None where that cannot be found out."""
    found = None
    with suppress(redis.RedisError, OSError):
        found = next(_wrong_keys(client, types), None)
    if found is None:
        return None
    key, held, wanted = found
    return (
        f"its key {key} holds another type of value, a {held} instead of a {wanted}: another program must have put it "
        f"there. Move it away: RENAME {key} other:{key}"
    )


def _wrong_keys(client: Any, types: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    beginnings = sorted({re.sub(r"([\\*?\[\]])", r"\\\1", name.partition(":")[0]) + "*" for name in types})
    for beginning, held in product(beginnings, sorted(KEY_TYPES)):
        for raw in client.scan_iter(beginning, count=1_000, _type=held):
            key = raw.decode(errors="replace")
            known = (name for name in types if name == key or (name.endswith(":") and key.startswith(name)))
            wanted = types.get(max(known, key=len, default=""))
            if wanted is not None and wanted != held:
                yield key, held, wanted


def _reason(error: Exception) -> str:
    """In words: the operating system's where the connection failed, Redis's own where it answered."""
    cause = error.__cause__ or error.__context__
    match error, cause:
        case redis.TimeoutError(), _:
            return f"no answer within {TIMEOUT_SECONDS:g} s"
        case redis.ConnectionError(), OSError(strerror=str(words)):
            return words
        case _:
            return str(error) or type(error).__name__
