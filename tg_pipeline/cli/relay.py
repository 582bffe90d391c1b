"""What a service and its children print off a terminal, as lines of the log: Dagster prints text of its own."""

import atexit
import fcntl
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, TextIO

from tg_pipeline.observability.logs import Style, is_json, json_formatter

END_SECONDS = 5.0
"""How long the last lines may take at the end of the process: a child that outlives it would hold the pipe open."""
PIPE_BYTES = 1 << 20
"""Writes of several processes are not mixed as long as the pipe is not full."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DAGSTER = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<event>.*)")
_FAILURE = re.compile(r"tg-pipeline: (?P<event>.*)")


def relay_as_json(style: Style) -> None:
    """From now on until the process ends, each line on a standard stream that is not for people is a line of the log.

    That holds for whatever this process and its children write there. Lines that are one already stay as they are.
    """
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if is_json(style, stream):
            with suppress(OSError):  # a stream that is no file, as in tests
                _relay(name, stream)


def as_log_lines(printed: BinaryIO, stream: str) -> Iterator[bytes]:
    """The lines printed, as the log has them.

    A line without a head of its own, as of a traceback, has the level and logger of the one before.
    """
    formatter = json_formatter()
    usual = logging.WARNING if stream == "stderr" else logging.INFO
    level, logger = usual, stream
    for raw in printed:
        if _is_log_line(raw):
            level, logger = usual, stream
            yield raw
            continue
        text = _COLOUR.sub("", raw.decode(errors="backslashreplace")).rstrip()
        if found := _DAGSTER.fullmatch(text):
            logger, text = found["logger"], found["event"]
            level = logging.getLevelNamesMapping().get(found["level"], logging.INFO)
        elif found := _FAILURE.fullmatch(text):
            level, logger, text = logging.ERROR, stream, found["event"]
        if text:
            record = {"name": logger, "levelno": level, "levelname": logging.getLevelName(level), "msg": text}
            yield formatter.format(logging.makeLogRecord(record)).encode() + b"\n"


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
    with os.fdopen(reading, "rb") as printed, os.fdopen(original, "wb", buffering=0, closefd=False) as output:
        for line in as_log_lines(printed, name):
            left = line
            with suppress(OSError):
                while left:
                    left = left[output.write(left) :]
