"""The state store of several machines: a Redis. Every operation is one command or one Lua script, all or nothing.

Values expire by the server's clock. A token of a lease is never below the milliseconds of the shared clock, so that a
Redis that lost its data does not give out a token twice.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tg_pipeline.contracts.state import WRITER_SECONDS, Batch, Change, Lease, Outcome
from tg_pipeline.state.redis_client import ask, redis_client

T = TypeVar("T")

TOKEN_TTL_MILLISECONDS = 90 * 86_400_000
SCANNED_AT_ONCE = 1_000
TYPES = {"value": "string", "counter": "string", "token": "string", "hash": "hash", "lease": "hash"}
"""What Redis calls the values of our keys, by what comes after the namespace."""

_COMPARE_AND_SET = """
local held, done = {}, 1
for i = 1, #KEYS do
    held[i] = redis.call('GET', KEYS[i])
    local wanted = ARGV[5 * i - 4] == '1' and ARGV[5 * i - 3]
    if held[i] ~= wanted then done = 0 end
end
if done == 1 then
    for i = 1, #KEYS do
        local has, value, ttl = ARGV[5 * i - 2] == '1', ARGV[5 * i - 1], ARGV[5 * i]
        if has and held[i] ~= value then
            if ttl == '' then redis.call('SET', KEYS[i], value) else redis.call('SET', KEYS[i], value, 'PX', ttl) end
        elseif not has then
            redis.call('DEL', KEYS[i])
        end
    end
end
return {done, held}
"""
_ADD = """
local new = redis.call('EXISTS', KEYS[1]) == 0
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if new and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return total
"""
_HASH_SET = """
for i = 1, #ARGV, 3 do
    if ARGV[i + 1] == '1' then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    else
        redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
"""
_HASH_ADD = """
if tonumber(redis.call('GET', KEYS[2]) or '-1') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
"""
_ACQUIRE = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if held[1] and held[1] ~= ARGV[1] then return false end
local token = held[2]
if not held[1] then
    local last = tonumber(redis.call('GET', KEYS[2]) or '0')
    token = string.format('%.0f', math.max(last + 1, tonumber(ARGV[3])))
    redis.call('SET', KEYS[2], token, 'PX', ARGV[4])
    redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'token', token)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
"""
_IF_HELD = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""


class RedisStore:
    """The port `contracts.state.StateStore` over the Redis at `url` (`redis://`, `rediss://` or `unix://`).

    All keys begin with `namespace`. `now` is the clock of all who share the store. Connects when first used; an
    operation whose answer was lost is not made again, since it may have been done: it is StateUnavailable.
    """

    degraded = False

    def __init__(self, url: str, now: Callable[[], float], *, namespace: str = "tg_pipeline") -> None:
        self._redis: Any = redis_client(url)
        self.now = now
        self._prefix = f"{namespace}:{{state}}:"
        self._scripts = {
            text: self._redis.register_script(text)
            for text in (_COMPARE_AND_SET, _ADD, _HASH_SET, _HASH_ADD, _ACQUIRE, _IF_HELD)
        }

    def read(self, *keys: str) -> Mapping[str, bytes | None]:
        """The values, all of one moment."""
        values = self._run(lambda: self._redis.mget([f"{self._prefix}value:{key}" for key in keys])) if keys else []
        return dict(zip(keys, values, strict=True))

    def keys(self, prefix: str) -> list[str]:
        """The keys with a value that begin with `prefix`, sorted."""
        values = f"{self._prefix}value:"
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", values + prefix) + "*"
        found = self._run(lambda: {key.decode() for key in self._redis.scan_iter(pattern, count=SCANNED_AT_ONCE)})
        return sorted(key.removeprefix(values) for key in found)

    def compare_and_set(self, changes: Mapping[str, Change]) -> Outcome:
        """Write all the changes if every key holds what is expected of it; otherwise none."""
        arguments: list[bytes | int | str] = []
        for change in changes.values():
            arguments += (*_optional(change.expected), *_optional(change.value), _milliseconds(change.ttl_seconds))
        done, held = self._script(_COMPARE_AND_SET, [f"value:{key}" for key in changes], arguments)
        if done:
            return Outcome(done=True, values={key: change.value for key, change in changes.items()})
        return Outcome(done=False, values=dict(zip(changes, held, strict=True)))

    def add(self, key: str, amount: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a counter and give the sum."""
        return int(self._script(_ADD, [f"counter:{key}"], [amount, _milliseconds(ttl_seconds)]))

    def hash_set(self, key: str, fields: Mapping[str, bytes | None]) -> None:
        """Set fields of a hash; None removes one."""
        self._script(
            _HASH_SET, [f"hash:{key}"], [word for field, value in fields.items() for word in (field, *_optional(value))]
        )

    def hash_get(self, key: str) -> Mapping[str, bytes]:
        """All fields of a hash."""
        found = self._run(lambda: self._redis.hgetall(f"{self._prefix}hash:{key}"))
        return {field.decode(): value for field, value in found.items()}

    def hash_add(self, key: str, batch: Batch) -> bool:
        """Add to fields of a hash; False for a batch that came before."""
        arguments: list[bytes | int | str] = [batch.number, _milliseconds(WRITER_SECONDS)]
        for field, amount in batch.amounts.items():
            arguments += (field, repr(float(amount)))
        return bool(self._script(_HASH_ADD, [f"hash:{key}", f"counter:writer:{batch.writer}"], arguments))

    def acquire(self, name: str, holder: str, *, ttl_seconds: float) -> Lease | None:
        """Take the lease if it is free, expired or the holder's own."""
        arguments = [holder, _milliseconds(ttl_seconds), int(self.now() * 1_000), TOKEN_TTL_MILLISECONDS]
        token = self._script(_ACQUIRE, [f"lease:{name}", f"token:{name}"], arguments)
        return None if token is None else Lease(name, holder, int(token))

    def renew(self, lease: Lease, *, ttl_seconds: float) -> bool:
        """Hold it for `ttl_seconds` from now; False if it is no longer this lease."""
        return self._if_held(lease, _milliseconds(ttl_seconds))

    def release(self, lease: Lease) -> bool:
        """Free it; False if it was no longer this lease."""
        return self._if_held(lease, "")

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self._redis.close()

    def _if_held(self, lease: Lease, ttl: int | str) -> bool:
        return bool(self._script(_IF_HELD, [f"lease:{lease.name}"], [lease.holder, lease.token, ttl]))

    def _script(self, text: str, keys: Iterable[str], arguments: Iterable[bytes | int | str]) -> Any:
        names = [self._prefix + key for key in keys]
        return self._run(lambda: self._scripts[text](keys=names, args=list(arguments)))

    def _run(self, work: Callable[[], T]) -> T:
        return ask(self._redis, work, {f"{self._prefix}{kind}:": held for kind, held in TYPES.items()})


def _optional(value: bytes | None) -> tuple[int, bytes]:
    return (0, b"") if value is None else (1, value)


def _milliseconds(seconds: float | None) -> int | str:
    return "" if seconds is None else max(1, round(seconds * 1_000))
