"""The schemas that are published say what the models do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from upath import UPath

from tg_pipeline.contracts import schemas
from tg_pipeline.contracts.commands import CommandError, parse_command, print_command
from tg_pipeline.contracts.events import Event
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.contracts.commands_at_random import Fields, any_json, valid_commands
from tg_pipeline_tests.contracts.schema_checks import SCHEMAS, check_day_file, check_events, is_command
from tg_pipeline_tests.storage.samples import DAY, SLUG, commit, record

AGAIN = "The models have changed: run `.venv/bin/python -m tg_pipeline.contracts.schemas`, and commit what it writes."


def refusal(value: Any) -> CommandError | None:
    try:
        parse_command(json.dumps(value).encode())
    except CommandError as error:
        return error
    return None


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """All fields that a schema describes, in whatever depth."""
    for part in (schema, *schema.get("$defs", {}).values()):
        yield from part.get("properties", {}).items()


def test_the_files_are_those_of_the_models() -> None:
    found = {path.name: path.read_text() for path in SCHEMAS.iterdir()}
    assert found == schemas.schemas(), AGAIN


def test_the_files_are_written_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    schemas.main()
    assert {path.name: path.read_text() for path in (tmp_path / "schemas").iterdir()} == schemas.schemas()


@pytest.mark.parametrize(
    "schema",
    [schemas.command_schema(), schemas.day_file_schema(), schemas.event_schema(), schemas.log_line_schema()],
    ids=["command", "day_file", "event", "log_line"],
)
def test_they_are_schemas_and_describe_every_field(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:tg-pipeline:")
    assert schema["title"]
    assert [name for name, field in properties(schema) if not field.get("description")] == []


@given(valid_commands())
def test_what_the_parser_reads_and_prints_the_schema_allows(fields: Fields) -> None:
    assert is_command(fields)
    assert is_command(json.loads(print_command(parse_command(json.dumps(fields).encode()))))


@given(valid_commands(), st.data(), any_json())
def test_parser_and_schema_refuse_the_same(fields: Fields, data: st.DataObject, value: Any) -> None:
    options = {f"options.{name}" for name in ("force", "priority", "limit", "media", "hurry")}
    changed = data.draw(st.sampled_from(sorted(fields.keys() | options | {"hurry", "date", "days", "from"})))
    outer, _, inner = changed.partition(".")
    given_ = fields | {outer: fields.get("options", {}) | {inner: value} if inner else value}
    error = refusal(given_)
    no_such_chat = error is not None and error.field == "chat" and isinstance(given_["chat"], str)
    assert is_command(given_) == (error is None or (no_such_chat and 1 <= len(given_["chat"]) <= 256))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"command": "fetch", "chat": "@durov", "mode": "date", "days": 7},
        {"command": "fetch", "chat": "@durov", "mode": "date", "date": "2025-11-07T00:00+03:00"},
        {"command": "fetch", "chat": "@durov", "mode": "date", "date": "2025-02-30"},
        {"command": "fetch", "chat": "@durov", "mode": "days", "days": 3_661},
        {"command": "fetch", "chat": "@durov", "mode": "days", "days": 7, "command_id": "7"},
        {"command": "fetch", "chat": "@durov", "mode": "days", "days": 7, "options": {"priority": 10}},
        {"command": "fetch", "chat": "@durov", "mode": "range", "from": "2025-11-07"},
    ],
)
def test_the_schema_refuses_common_mistakes(wrong: Fields) -> None:
    assert not is_command(wrong)
    assert refusal(wrong) is not None


@given(st.builds(Event, duration_sec=st.floats(0, 1e9), ts=st.just("2026-03-01T12:00:00.000Z"), params=st.just({})))
def test_whatever_event_is_published_the_schema_allows(event: Event) -> None:
    check_events([json.loads(event.dump())])


@pytest.mark.parametrize(
    "change", [{"event": "ended"}, {"ts": "2026-03-01"}, {"processed": -1}, {"slug": None}, {"params": []}]
)
def test_what_is_no_event_the_schema_refuses(change: Fields) -> None:
    event = Event(
        event="started", status="running", command_id="x", chat="@durov", mode="days", ts="2026-03-01T12:00:00.000Z"
    )
    fields = json.loads(event.dump())
    check_events([fields])
    with pytest.raises(ValidationError):
        check_events([fields | change])


def test_a_day_file_is_held_to_the_schema(tmp_path: Path) -> None:
    store = FileArchive(UPath(tmp_path))
    commit(store, tmp_path, [record(1), record(2, reply_to=1), record(3, media={"type": "photo"})])
    text = store.path(SLUG, DAY).read_bytes()
    check_day_file(text)
    check_day_file(text.replace(b'"sealed":', b'"new":1,"sealed":'))
    for right, wrong in ((b'"UTC"', b'"CET"'), (b'"id":1,', b'"id":"1",'), (b'"deleted":false', b'"x":0'), (b"Z", b"")):
        with pytest.raises(ValidationError):
            check_day_file(text.replace(right, wrong))
