"""What a service and its children print off a terminal, as lines of the log: Dagster prints text of its own."""

import atexit
import fcntl
import json
import logging
import os
import re
import select
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TextIO

from tg_pipeline.observability.logs import Style, is_json, json_formatter

END_SECONDS = 5.0
"""How long the last lines may take at the end of the process: a child that outlives it would hold the pipe open."""
PIPE_BYTES = 1 << 20
"""Writes of several processes are not mixed as long as the pipe is not full."""

IDLE_SECONDS = 0.5
"""For so long a traceback that is being printed may rest: it is taken to be whole after that."""
HELD_LINES = 5_000
EXCEPTION_CHARACTERS = 16_000
"""Of a longer traceback its beginning and its end are logged, with the error."""
EVENT_CHARACTERS = 500

_STACK = "Stack Trace:"
"""What Dagster writes between an error and where it came from."""
_BEGIN = re.compile(rf"(\s*\+ Exception Group )?Traceback \(most recent call last\):|{_STACK}")
_CHAIN = re.compile(r"The above exception |During handling of the above exception")
_ERROR = re.compile(r"[A-Za-z_][\w.]*(: |:?$)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DAGSTER = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<event>.*)")
_WARNING = re.compile(r"\S.*:\d+: \w*Warning: ")
"""By Python, which prints the line of the source after it."""
_FAILURE = re.compile(r"tg-pipeline: (?P<event>.*)")


def relay_as_json(style: Style) -> None:
    """From now on until the process ends, each line on a standard stream that is not for people is a line of the log.

    That holds for whatever this process and its children write there. Lines that are one already stay as they are.
    """
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if is_json(style, stream):
            with suppress(OSError):  # a stream that is no file, as in tests
                _relay(name, stream)


def as_log_lines(printed: Iterable[bytes | None], stream: str) -> Iterator[bytes]:
    """The lines printed, as the log has them; None among them says that nothing more came for a while.

    A traceback is one line of the log, with all of its lines in `exception`, and with the head that Dagster wrote
    before it. Any other line without a head of its own has the level and logger of the one before.
    """
    lines = _Lines(stream)
    for raw in printed:
        if raw is None:
            yield from lines.flush()
        elif _is_log_line(raw):
            # Another process may write between the lines of a traceback.
            if not lines.is_amid_stack:
                yield from lines.flush()
                lines.begin()
            yield raw
        else:
            yield from lines.add(_COLOUR.sub("", raw.decode(errors="backslashreplace")).rstrip())
    yield from lines.flush()


class _Lines:
    """Lines without the form of the log's, of which those that belong to a traceback are held until it is whole."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._formatter = json_formatter()
        self._usual = logging.WARNING if stream == "stderr" else logging.INFO
        self._head = ""
        self._held: list[str] = []
        self._is_traceback = False
        self._is_warned = False
        self.begin()

    @property
    def is_amid_stack(self) -> bool:
        return self._is_traceback and self._held[-1].startswith(" ")

    def begin(self, logger: str | None = None, level: int | None = None) -> None:
        """What comes next without a head is of this logger, and of this level."""
        self._logger, self._level = logger or self._stream, self._usual if level is None else level

    def add(self, text: str) -> Iterator[bytes]:
        is_source, self._is_warned = self._is_warned and text.startswith("  "), bool(_WARNING.match(text))
        if is_source:
            return
        if found := _DAGSTER.fullmatch(text):
            yield from self.flush()
            self.begin(found["logger"], logging.getLevelNamesMapping().get(found["level"], logging.INFO))
            self._head = found["event"]
        elif found := _FAILURE.fullmatch(text):
            yield from self.flush()
            self.begin()
            yield self._line(found["event"], level=logging.ERROR)
        else:
            if _BEGIN.fullmatch(text):
                if self._is_traceback and text != _STACK and not any(map(_CHAIN.match, self._held[-2:])):
                    yield from self.flush()
                self._is_traceback = True
            if self._is_traceback or self._head:
                self._held.append(text)
            elif text:
                yield self._line(text)
            if len(self._held) > HELD_LINES:
                del self._held[HELD_LINES // 2]

    def flush(self) -> Iterator[bytes]:
        head, held, is_traceback = self._head, self._held, self._is_traceback
        self._head, self._held, self._is_traceback = "", [], False
        if is_traceback:
            error = _error(held)
            name = error.partition(":")[0].rpartition(".")[2] or None
            text = "\n".join(held).strip("\n")
            yield self._line(head or error[:EVENT_CHARACTERS] or held[0], error_type=name, exception=_bounded(text))
            return
        yield from (self._line(text) for text in (head, *held) if text)

    def _line(self, text: str, *, level: int | None = None, **more: str | None) -> bytes:
        number = self._level if level is None else level
        record = {"name": self._logger, "levelno": number, "levelname": logging.getLevelName(number), "msg": text}
        return self._formatter.format(logging.makeLogRecord(record | more)).encode() + b"\n"


def _error(lines: Sequence[str]) -> str:
    """The line of a traceback that names the error which was raised in the end; empty where none does."""
    printed = [line for line in lines if line]
    by_dagster = [line for line, after in pairwise(printed) if after == _STACK and _ERROR.match(line)]
    by_python = [line for before, line in pairwise(printed) if before.startswith(" ") and _ERROR.match(line)]
    return by_dagster[0] if by_dagster else by_python[-1] if by_python else ""


def _bounded(text: str) -> str:
    """The text, or its beginning and its end."""
    if len(text) <= EXCEPTION_CHARACTERS:
        return text
    half = EXCEPTION_CHARACTERS // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def _is_log_line(raw: bytes) -> bool:
    if not raw.startswith(b'{"ts": '):
        return False
    try:
        return isinstance(json.loads(raw), dict)
    except ValueError:
        return False


def _relay(name: str, stream: TextIO) -> None:
    descriptor = stream.fileno()
    stream.flush()
    original = os.dup(descriptor)
    reading, writing = os.pipe()
    with suppress(OSError):  # more than this user may have
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.dup2(writing, descriptor)
    os.close(writing)
    thread = threading.Thread(target=_pass_on, args=(reading, original, name), name=f"relay-{name}", daemon=True)
    thread.start()

    def end() -> None:
        stream.flush()
        os.dup2(original, descriptor)
        thread.join(END_SECONDS)

    atexit.register(end)


def _pass_on(reading: int, original: int, name: str) -> None:
    """Until every writer has closed. Goes on reading where nobody reads the output any more: children would block."""
    with os.fdopen(original, "wb", buffering=0, closefd=False) as output:
        for line in as_log_lines(_lines(reading), name):
            left = line
            with suppress(OSError):
                while left:
                    left = left[output.write(left) :]
    os.close(reading)


def _lines(reading: int) -> Iterator[bytes | None]:
    """The lines of a pipe until its end; None when nothing has come for IDLE_SECONDS."""
    begun: list[bytes] = []
    while True:
        if not select.select([reading], [], [], IDLE_SECONDS)[0]:
            yield None
            select.select([reading], [], [])
        chunk = os.read(reading, PIPE_BYTES)
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*begun, line, b"\n"])
            begun = []
        begun.append(rest)
        if not chunk:
            if any(begun):
                yield b"".join(begun)
            return
