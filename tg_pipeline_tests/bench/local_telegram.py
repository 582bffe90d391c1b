"""A simulator in a process of its own, so that client and server do not share an interpreter lock."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import orjson

from tg_pipeline.resilience import loopback

FIRST_DAY = date(2024, 1, 1)


@dataclass(frozen=True)
class ChatSpec:
    """A synthetic supergroup of `days` days from FIRST_DAY on, `per_day` messages each.

    Of every `visible + missing` ids `missing` are absent. They are written by `people` members.
    """

    username: str
    per_day: int
    days: int
    visible: int = 47
    missing: int = 3
    people: int = 400

    @property
    def messages(self) -> int:
        """How many there are."""
        return self.per_day * self.days

    @property
    def last_day(self) -> date:
        """The last day with messages."""
        return FIRST_DAY + timedelta(days=self.days - 1)


@dataclass(frozen=True)
class LocalTelegram:
    """How to reach a running simulator."""

    session: str
    api_id: int
    api_hash: str


@contextmanager
def serving(chats: Sequence[ChatSpec], latency_ms: float = 0) -> Iterator[LocalTelegram]:
    """A simulator of these chats that ends with the block; every answer is `latency_ms` late."""
    spec = orjson.dumps({"chats": [asdict(chat) for chat in chats], "latency_ms": latency_ms}).decode()
    with subprocess.Popen(
        [sys.executable, "-m", "tg_pipeline_tests.bench.serve", spec],
        stdout=subprocess.PIPE,
        env=loopback.guarded_environment(os.environ),
    ) as server:
        try:
            assert server.stdout is not None
            ready = orjson.loads(server.stdout.readline())
            yield LocalTelegram(ready["session"], ready["api_id"], ready["api_hash"])
        finally:
            server.terminate()
