"""Log lines: sentences for people at a terminal, JSON elsewhere and to Loki. docs/logs.md says what is in them.

Every room logs by the standard library. What a line is about - a chat, a command, a run - is bound to the context where
it is known, once, and goes with all that is done there; `extra` gives what belongs to one line only.

Secrets are hidden, and control characters escaped, in what any logger says, for every handler: records are made by a
factory of ours.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Collection, MutableMapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TextIO

from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from tg_pipeline.contracts.log_line import LogLine
from tg_pipeline.contracts.text import printable, printable_lines

if TYPE_CHECKING:
    from tg_pipeline.observability.loki import LokiHandler

Stream = Literal["stdout", "stderr"]
Style = Literal["auto", "json", "console"]

OURS = "tg_pipeline"
EXTRA = ("chat", "command_id", "run_id", "mode", "duration_ms", "error_type", "exception")
"""What one line may say by `extra`; `exception` is for tracebacks of others, ours come by `exc_info`."""
IS_OURS = "is_of_tg_pipeline"
"""Attribute of records that our loggers made, and of handlers that were set up here."""
HIDDEN = "[hidden]"
LEAST_SECRET = 4
"""Characters: of anything shorter, hiding it would make nonsense of every other word."""
_SHAPES = (
    r"(?<![A-Za-z0-9_-])1[A-Za-z0-9_-]{200,}={0,2}",  # a session string
    r"(?<=://)[^\s/@]+@",  # a login in a URL
    r"(?<![\w+])\+\d{8,15}(?!\d)",  # a phone number
    r"(?i:(?<=api_hash=)|(?<=api_hash: )|(?<=['\"]api_hash['\"]: ['\"]))[0-9a-f]{32}",
)

_hidden = re.compile("|".join(_SHAPES))


def hide(text: str) -> str:
    """The text without the secrets that are known, and without what looks like one."""
    return _hidden.sub(HIDDEN, text)


def about(**facts: str | None) -> AbstractContextManager[None]:
    """The block's lines, in whatever room, say these facts as well: chat, command_id, run_id, mode."""
    return bound_contextvars(**{name: fact for name, fact in facts.items() if fact is not None})


def log_to(
    stream: Stream,
    level: str,
    style: Style,
    *,
    secrets: Collection[str] = (),
    loki: "LokiHandler | None" = None,
    everything: bool = True,
) -> None:
    """Set up logging for this process; what was set up here before is replaced.

    A program that has set up logging already keeps its stream, and ours stays silent. `everything`: other libraries'
    warnings as well. Telethon's lines are kept down in any case: what they say comes as our errors, and may be about
    messages.
    """
    _hide(secrets)
    logging.setLogRecordFactory(_Record)
    logging.getLogger("telethon").setLevel(logging.ERROR)
    ours = logging.getLogger(OURS)
    ours.setLevel(level)
    root = logging.getLogger()
    target = root if everything else ours
    for handler in [found for found in target.handlers if hasattr(found, IS_OURS)]:
        target.removeHandler(handler)
        handler.close()
    handlers = [] if root.handlers else [_stream_handler(stream, style)]
    for handler in [*handlers, *([loki] if loki else [])]:
        vars(handler)[IS_OURS] = True
        target.addHandler(handler)


def is_json(style: Style, stream: TextIO) -> bool:
    """Whether lines on that stream are JSON: sentences are for people at a terminal."""
    return style == "json" or (style == "auto" and not stream.isatty())


def json_formatter() -> logging.Formatter:
    """One JSON object a line, as schemas/log_line.schema.json has it."""
    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, ExtraAdder(EXTRA), add_log_level, add_logger_name, _stamp],
        processors=[_tidy, _render],
    )


class _Record(logging.LogRecord):
    def __init__(self, name: str | None, *rest: Any, **more: Any) -> None:
        super().__init__(name, *rest, **more)  # type: ignore[arg-type] # None: by logging.makeLogRecord
        if name and name.partition(".")[0] == OURS:
            vars(self)[IS_OURS] = True

    def getMessage(self) -> str:  # noqa: N802 - as the base class has it
        return printable_lines(hide(super().getMessage()))


def _stream_handler(stream: Stream, style: Style) -> logging.Handler:
    output = sys.stdout if stream == "stdout" else sys.stderr
    if is_json(style, output):
        handler: logging.Handler = logging.StreamHandler(output)
        handler.setFormatter(json_formatter())
        return handler
    from rich.logging import RichHandler  # noqa: PLC0415 - for terminals only

    from tg_pipeline.observability.console import SafeConsole  # noqa: PLC0415 - as above

    handler = RichHandler(console=SafeConsole(stderr=stream == "stderr"), show_path=False)
    handler.setFormatter(logging.Formatter("%(message)s", datefmt="[%X]"))
    return handler


def _hide(secrets: Collection[str]) -> None:
    global _hidden  # noqa: PLW0603 - of the process, as logging itself is
    known = sorted({secret for secret in secrets if len(secret) >= LEAST_SECRET}, key=len, reverse=True)
    _hidden = re.compile("|".join([*map(re.escape, known), *_SHAPES]))


def _stamp(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    moment = datetime.fromtimestamp(line["_record"].created, UTC)
    line["ts"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return line


def _render(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
    """JSON, in which everything that is not printable is an escape, as are halves of surrogate pairs."""
    return printable(json.dumps(line, ensure_ascii=False))


def _tidy(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What a person looks for first comes first; nothing but what the schema knows."""
    error = (line.get("exc_info") or (None, None))[1]
    if error is not None:
        line.setdefault("error_type", type(error).__name__)
        line["exception"] = "".join(traceback.format_exception(error))
    shown = {key: line[key] for key in LogLine.model_fields if line.get(key) is not None}
    return {key: hide(value) if isinstance(value, str) else value for key, value in shown.items()}
