"""The JSON Schemas in `schemas/`, for those who write in other languages: made of the models.

`python -m tg_pipeline.contracts.schemas` writes them into the folder of that name.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tg_pipeline.contracts.commands import COMMAND, COMMAND_SCHEMA_VERSION
from tg_pipeline.contracts.day_file import SCHEMA_VERSION, DayFile
from tg_pipeline.contracts.events import EVENT_SCHEMA_VERSION, Event
from tg_pipeline.contracts.log_line import LOG_LINE_SCHEMA_VERSION, LogLine

DIALECT = GenerateJsonSchema.schema_dialect
FOLDER = Path("schemas")

Schema = dict[str, Any]


def command_schema() -> Schema:
    """What may be pushed. Whether a day is in the calendar, or a chat has such a name, no schema can say."""
    schema = COMMAND.json_schema(schema_generator=_Untitled)
    del schema["discriminator"]  # of OpenAPI; the modes are constants, which say the same
    return _headed("command", COMMAND_SCHEMA_VERSION, "A command, as pushed onto the Redis list tg_commands", schema)


def event_schema() -> Schema:
    """What is published: fields that are not set are left out, and readers do not mind new ones."""
    title = "An event, as published on the Redis channel tg_events and kept in the stream tg_events:log"
    return _headed("event", EVENT_SCHEMA_VERSION, title, _told(Event))


def log_line_schema() -> Schema:
    """What is logged where no person looks: likewise."""
    return _headed("log_line", LOG_LINE_SCHEMA_VERSION, "A line of the log, in JSON", _told(LogLine))


def day_file_schema() -> Schema:
    """A day file: likewise readers do not mind new fields."""
    schema = DayFile.model_json_schema(schema_generator=_Untitled)
    for model in (schema, *schema["$defs"].values()):
        del model["additionalProperties"]
    return _headed("day_file", SCHEMA_VERSION, "A day file: one chat, one UTC day, every message of it", schema)


def schemas() -> Mapping[str, str]:
    """The text of each file."""
    made = {
        "command": command_schema(),
        "day_file": day_file_schema(),
        "event": event_schema(),
        "log_line": log_line_schema(),
    }
    return {f"{name}.schema.json": json.dumps(schema, indent=2) + "\n" for name, schema in made.items()}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text)


class _Untitled(GenerateJsonSchema):
    """Without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as the base class has it
        return False


def _headed(name: str, version: str, title: str, schema: Schema) -> Schema:
    return {"$schema": DIALECT, "$id": f"urn:tg-pipeline:{name}:{version}", "title": title} | {
        key: value for key, value in schema.items() if key != "title"
    }


def _told(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(schema_generator=_Untitled)
    del schema["additionalProperties"]
    schema["required"] = [
        name for name, field in model.model_fields.items() if field.is_required() or field.default is not None
    ]
    for name in schema["properties"].keys() - schema["required"]:
        _never_null(schema["properties"][name])
    return schema


def _never_null(field: Schema) -> None:
    (kind,) = [option for option in field.pop("anyOf") if option != {"type": "null"}]
    del field["default"]
    field.update(kind)


if __name__ == "__main__":
    main()
