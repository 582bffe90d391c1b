"""Texts that are no commands, of every kind that was thought of."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tg_pipeline.contracts.commands import MAX_COMMAND_BYTES
from tg_pipeline_tests.telegram_account import FIRST_DAY

DAY = str(FIRST_DAY)
FIVE_MEGABYTES = 5_000_000
HUGE = 4
"""How many of five megabytes there are among all."""


@dataclass(frozen=True)
class Broken:
    """A text and the `error_type` that it must be rejected for."""

    raw: bytes
    error_type: str


def _json(**fields: Any) -> bytes:
    """A valid command but for `fields`; those that are None are left out."""
    whole = {"command": "fetch", "chat": "@busy", "mode": "date", "date": DAY} | fields
    return json.dumps({key: value for key, value in whole.items() if value is not None}).encode()


def _range(first: str, last: str) -> bytes:
    return _json(mode="range", date=None, **{"from": first, "to": last})


def _cut(rng: random.Random) -> bytes:
    """The beginning of a valid one, as a client leaves it that dies while it writes."""
    whole = _json()
    return whole[: rng.randrange(1, len(whole))]


def _nested(depth: int) -> bytes:
    return b'{"command":"fetch","options":' + b"[" * depth + b"]" * depth + b"}"


def _padded(size: int) -> bytes:
    """Nearly valid, of that many bytes."""
    return _json(idempotency_key="k" * (size - len(_json(idempotency_key=""))))


KINDS: dict[str, Sequence[Callable[[random.Random], bytes]]] = {
    "NotJson": [
        lambda rng: b"fetch @busy " + str(rng.random()).encode(),
        lambda _: b"",
        _cut,
        lambda _: _json()[:-1] + b"}}",
        lambda _: b"\xef\xbb\xbf" + _json(),
        lambda _: _json().decode().encode("utf-16"),
        lambda _: _json().replace(b'"@busy"', b"NaN"),
        lambda _: _json(mode="days", date=None, days=1).replace(b"1}", b"-Infinity}"),
        lambda _: _json(chat="@\ud800"),
        lambda _: _json(**{"\udfff": 1}),
        lambda rng: _json().replace(b"@busy", b"@bu\\sy".replace(b"\\", bytes([rng.randrange(1, 32)]))),
        lambda rng: _json().replace(b"@busy", b"@\xc3" + bytes([rng.randrange(128, 256)]) + b"\xff"),
        lambda rng: rng.randbytes(rng.randrange(20, 2_000)) + b"\xff",
        lambda _: b"[" * 10_000,
        lambda _: b'{"a":' * 3_000,
        lambda _: _nested(8_000),
        lambda _: _json(mode="days", date=None, days=1).replace(b"1}", b"9" * 5_000 + b"}"),
    ],
    "InvalidField": [
        *(lambda _, text=text: text for text in (b"[]", b'"fetch"', b"17", b"null", b"true", b"1e999", b"[[[[]]]]")),
        lambda _: _json(command="delete"),
        lambda _: _json(command=["fetch"]),
        lambda _: _json(chat=17),
        lambda _: _json(chat=""),
        lambda _: _json(chat="\0@busy"),
        lambda _: _json(chat="@bu\x1b[31msy"),
        lambda _: _json(chat="x" * 3_000),
        lambda _: _json(mode="all"),
        lambda _: _json(mode={"mode": "date"}),
        *(
            lambda _, day=day: _json(date=day)
            for day in ("2024-02-30", "2024-1-1", "01.01.2024", "2024-01-01T00:00+03:00", "today", 20240101, [DAY], " ")
        ),
        *(lambda _, days=days: _json(mode="days", date=None, days=days) for days in (0, -1, 10**30, 1.5, "7", True)),
        lambda _: _json(options=[]),
        lambda _: _json(options={"priority": 10}),
        lambda _: _json(options={"force": "yes"}),
        lambda _: _json(strategy="both"),
        lambda rng: _json(command_id=f"not-a-uuid-{rng.random()}"),
        lambda _: _json(idempotency_key="k" * 201),
        lambda _: _padded(MAX_COMMAND_BYTES),
    ],
    "MissingField": [lambda _: b"{}", *(lambda _, key=key: _json(**{key: None}) for key in ("chat", "mode", "date"))],
    "UnknownField": [
        lambda rng: _json(**{f"field{rng.random()}": 1}),
        lambda _: _json(days=3),
    ],
    "DuplicateKey": [
        lambda _: _json()[:-1] + b', "chat": "@other"}',
        lambda _: _json(options={}).replace(b"{}", b'{"force": true, "force": false}'),
    ],
    "TooLong": [lambda _: _padded(MAX_COMMAND_BYTES + 1)],
    "InvalidRange": [lambda _: _range("2024-01-05", "2024-01-04")],
    "RangeTooLong": [lambda _: _range("1925-01-01", "2024-12-31")],
    "FutureDay": [lambda _: _json(date="2999-12-31")],
    "BeforeStart": [lambda _: _json(date="2013-08-14"), lambda _: _range("2019-01-01", "2019-12-31")],
    "ChatNotRegistered": [
        lambda rng: _json(chat=f"@nobody_{rng.randrange(1_000)}"),
        lambda _: _json(chat="../../etc/passwd"),
    ],
}


def broken_commands(count: int, seed: int) -> Iterator[Broken]:
    """So many, each kind about as often as the others."""
    rng = random.Random(seed)
    kinds = [(error_type, make) for error_type, makes in KINDS.items() for make in makes]
    for number in range(count - HUGE):
        error_type, make = kinds[number % len(kinds)]
        yield Broken(make(rng), error_type)
    yield from (Broken(b" " * FIVE_MEGABYTES + _json(), "TooLong") for _ in range(HUGE))
