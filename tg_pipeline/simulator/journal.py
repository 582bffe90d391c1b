"""The journal: what the server saw, one entry a request, for tests and benchmarks to count on."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import orjson
from telethon.tl.tlobject import TLObject

from tg_pipeline.simulator.errors import SimulatorError

KEPT_IN_MEMORY = 100_000


class Entry(TypedDict):
    """One request served.

    `ts`: POSIX seconds. `method`: as Telegram spells it ("messages.getHistory"), wrappers left out. `connection`:
    number of the TCP connection, from 1. `params`: the request's fields, bytes as hex, dates in ISO 8601 or null.
    `error`: the name of the error it was answered with, or "!" and what was done to it instead of an answer.
    """

    ts: float
    method: str
    connection: int
    params: dict[str, Any]
    error: NotRequired[str]


class Journal:
    """The last entries in memory, and all of them in a file where a path is given (one JSON object a line).

    Raises SimulatorError where the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT_IN_MEMORY)
        # Unbuffered: each line is one write, so that killing the server loses none.
        try:
            self._file = path.open("ab", buffering=0) if path else None
        except OSError as error:
            raise SimulatorError(f"journal {path} cannot be written: {error.strerror}") from error

    def write(self, entry: Entry) -> None:
        """Add an entry."""
        self.entries.append(entry)
        if self._file:
            self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def params_of(request: TLObject) -> dict[str, Any]:
    """A request's fields as plain JSON values."""
    return {name: _plain(value) for name, value in request.to_dict().items() if name != "_"}


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat() if value.timestamp() else None
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def method_name(request_class: type) -> str:
    """`messages.getHistory` for the class GetHistoryRequest of telethon.tl.functions.messages."""
    name = request_class.__name__.removesuffix("Request")
    name = name[0].lower() + name[1:]
    group = request_class.__module__.rpartition(".")[2]
    return name if group == "functions" else f"{group}.{name}"
