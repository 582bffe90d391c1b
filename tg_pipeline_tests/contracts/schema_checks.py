"""Holding what is sent to the schemas that other languages read."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tg_pipeline.contracts.events import Event
from tg_pipeline.contracts.log_line import LogLine

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"

_commands, _day_files, _events, _log_lines = (
    Draft202012Validator(
        json.loads((SCHEMAS / f"{name}.schema.json").read_text()), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for name in ("command", "day_file", "event", "log_line")
)


def is_command(value: Any) -> bool:
    """Whether the schema allows it."""
    return bool(_commands.is_valid(value))


def check_day_file(text: bytes) -> None:
    """The file is as the schema has it."""
    _day_files.validate(json.loads(text))


def check_log(text: str) -> list[dict[str, Any]]:
    """The lines of a log; each is as the schema and the model have it."""
    lines = [json.loads(line) for line in text.split("\n") if line]
    for line in lines:
        _log_lines.validate(line)
        LogLine.model_validate(line)
    return lines


def check_events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same events; each is as the schema and the model have it."""
    for event in events:
        _events.validate(event)
        Event.model_validate(event)
    return events
