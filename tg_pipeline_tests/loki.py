"""A Loki within the test's process: it takes lines, refuses them, or does not answer."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tg_pipeline_tests.http_sink import http_sink


@dataclass
class Loki:
    """`status` is what it answers; while `silent` is set it answers nobody. `pushes` counts what it was asked."""

    url: str = ""
    status: int = 204
    pushes: int = 0
    streams: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False

    @property
    def lines(self) -> list[str]:
        return [line for stream in self.streams for _, line in stream["values"]]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def loki() -> Iterator[Loki]:
    """It listens while the block runs."""
    found = Loki()

    def answer(path: str, headers: Mapping[str, str], body: bytes) -> int | None:
        found.pushes += 1
        found.headers = dict(headers)
        if found.silent:
            return None
        if found.status == 204 and path == "/loki/api/v1/push":
            found.streams += json.loads(body)["streams"]
        return found.status

    with http_sink(answer) as found.url:
        yield found
