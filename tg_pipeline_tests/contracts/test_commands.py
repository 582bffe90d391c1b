"""The grammar of commands: what is read comes back as it was, and what is not says why, whatever it is."""

import json
import tracemalloc
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import MAX_COMMAND_BYTES, MAX_DAYS, CommandError, parse_command, plan, print_command
from tg_pipeline.contracts.days import parse_day
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.events import Event, timestamp
from tg_pipeline.contracts.names import ALLOWED as NAMES_ALLOWED
from tg_pipeline.contracts.names import parse_name
from tg_pipeline.contracts.strict_json import VALUE_SHOWN, NotStrict, read_json
from tg_pipeline_tests.contracts.commands_at_random import Fields, any_json, valid_commands

ERROR_TYPES = {"NotJson", "DuplicateKey", "TooLong", "MissingField", "UnknownField", "InvalidField"}
AN_OBJECT = "one JSON object, in UTF-8"
UTC_ONLY = "UTC dates only: YYYY-MM-DD, without time and zone"
ONE_TO_MOST = "a whole number from 1 to 3660"
FIELDS = "command, chat, strategy, options, command_id, idempotency_key, mode, days"
TODAY = date(2026, 3, 1)
START = date(2020, 1, 1)
A_UUID = "a UUID of 36 characters"
ID = "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11"
BARE_ID = ID.replace("-", "")

DAYS: Fields = {"command": "fetch", "chat": "@durov", "mode": "days", "days": 7}
DATE: Fields = {"command": "fetch", "chat": "@durov", "mode": "date", "date": "2025-11-07"}
RANGE: Fields = {"command": "fetch", "chat": "@durov", "mode": "range", "from": "2025-11-01", "to": "2025-11-07"}


def text(fields: Any) -> bytes:
    return json.dumps(fields).encode()


def without(fields: Fields, name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


def refusal(raw: bytes, size: int | None = None) -> CommandError:
    """Why it is not carried out today for a chat that begins at START."""
    with pytest.raises(CommandError) as found:
        plan(parse_command(raw, size), today=TODAY, start=START)
    return found.value


def refusal_or_none(raw: bytes) -> CommandError | None:
    """Any other exception than the one that is allowed fails the test."""
    try:
        parse_command(raw)
    except CommandError as error:
        assert_one_precise_reason(error)
        return error
    return None


def assert_one_precise_reason(error: CommandError) -> None:
    assert error.error_type in ERROR_TYPES
    assert error.allowed
    shown = (str(error), error.field, error.value or "")
    assert all(words.isprintable() for words in shown), "on one line, and nothing that a terminal obeys"
    assert str(error) == (f"{error.field}: {error.reason}" if error.field else error.reason)
    assert max(map(len, shown)) <= 2 * VALUE_SHOWN
    assert (error.error_type == "MissingField") <= (error.value is None)
    Event(
        event="failed",
        status="rejected",
        command_id=ID,
        chat=None,
        mode=None,
        ts=timestamp(),
        message=str(error),
        field=error.field,
        value=error.value,
        allowed=error.allowed,
    ).dump()


# --- properties ---


@given(valid_commands())
def test_what_is_read_is_printed_as_it_was(fields: Fields) -> None:
    command = parse_command(text(fields))
    assert parse_command(print_command(command)) == command
    printed = json.loads(print_command(command))
    said = {name: value for name, value in fields.items() if name not in {"options", "command_id", "chat"}}
    assert printed | {name: value for name, value in said.items() if value is not None} == printed
    assert printed["chat"] == fields["chat"].strip()
    assert printed.get("command_id", "") == (fields.get("command_id") or "").lower()


@given(st.binary(max_size=200) | any_json(numbers_of_json=False).map(text))
def test_whatever_is_no_command_has_one_reason(raw: bytes) -> None:
    assert refusal_or_none(raw) is not None


@given(valid_commands(), st.data())
def test_a_damaged_command_is_read_or_has_one_reason(fields: Fields, data: st.DataObject) -> None:
    raw = text(fields)
    at = data.draw(st.integers(0, len(raw)))
    junk = data.draw(st.binary(max_size=3) | st.sampled_from([b"NaN", b"1e999", b"\\ud800", b"\x00", b"[" * 500, b'"']))
    refusal_or_none(raw[:at] + junk + raw[at + data.draw(st.integers(0, 3)) :])


@given(valid_commands(), st.data(), any_json())
def test_of_one_wrong_field_the_reason_names_that_field(fields: Fields, data: st.DataObject, value: Any) -> None:
    name = data.draw(st.sampled_from(sorted(fields.keys() - {"mode"})))
    error = refusal_or_none(text(fields | {name: value}))
    assert error is None or error.field.split(".")[0] == name


@given(valid_commands(), any_json())
def test_any_other_mode_is_refused_by_its_name(fields: Fields, value: Any) -> None:
    error = refusal_or_none(text(fields | {"mode": value}))
    assert error is not None
    assert (error.error_type, error.field, error.allowed) == ("InvalidField", "mode", "date, days, range")


@given(valid_commands(), st.data())
def test_of_a_missing_field_the_reason_names_it(fields: Fields, data: st.DataObject) -> None:
    needed = fields.keys() & {"command", "chat", "mode", "date", "days", "from", "to"}
    name = data.draw(st.sampled_from(sorted(needed)))
    error = refusal_or_none(text(without(fields, name)))
    assert error is not None
    assert (error.error_type, error.field) == ("MissingField", name)


@given(valid_commands(), st.dates(min_value=date(2013, 1, 1)), st.dates())
def test_a_plan_stays_within_what_can_be_had_or_says_why_not(fields: Fields, today: date, start: date) -> None:
    command = parse_command(text(fields))
    error = None
    try:
        planned = plan(command, today=today, start=start)
        assert start <= planned.days.first <= planned.days.last <= today
        assert len(planned.days) <= MAX_DAYS
        assert planned.clamped == (command.days(today).first < start)
    except CommandError as found:
        error = found
    if error is not None:
        assert error.field in fields
        assert error.allowed
        assert error.error_type in {"InvalidRange", "RangeTooLong", "FutureDay", "BeforeStart"}


# --- what is wrong, and with which field ---


@pytest.mark.parametrize(
    ("raw", "error_type", "field", "value", "allowed"),
    [
        (b"", "NotJson", "", "", AN_OBJECT),
        (b"fetch", "NotJson", "", "fetch", AN_OBJECT),
        (b"{'a': 1}", "NotJson", "", "{'a': 1}", AN_OBJECT),
        (b'{"days":NaN}', "NotJson", "", "NaN", AN_OBJECT),
        (b"[" * 10_000, "NotJson", "", None, AN_OBJECT),
        (b"[" * 10_000 + b"]" * 10_000, "TooLong", "", None, "up to 16,384 bytes"),
        (b'{"chat":"@a","chat":"@b"}', "DuplicateKey", "chat", None, "each key once"),
        (b"null", "InvalidField", "", "null", AN_OBJECT),
        (b"[]", "InvalidField", "", "[]", AN_OBJECT),
        (b'"fetch"', "InvalidField", "", "fetch", AN_OBJECT),
    ],
)
def test_what_is_no_json_object_is_refused(
    raw: bytes, error_type: str, field: str, value: str | None, allowed: str
) -> None:
    error = refusal(raw)
    assert_one_precise_reason(error)
    assert (error.error_type, error.field, error.value, error.allowed) == (error_type, field, value, allowed)


@pytest.mark.parametrize(
    ("fields", "error_type", "field", "value", "allowed"),
    [
        (without(DAYS, "command"), "MissingField", "command", None, "fetch"),
        (DAYS | {"command": "read"}, "InvalidField", "command", "read", "fetch"),
        (without(DAYS, "mode"), "MissingField", "mode", None, "date, days, range"),
        (DAYS | {"mode": "week"}, "InvalidField", "mode", "week", "date, days, range"),
        (without(DAYS, "chat"), "MissingField", "chat", None, NAMES_ALLOWED),
        (DAYS | {"chat": ""}, "InvalidField", "chat", "", NAMES_ALLOWED),
        (DAYS | {"chat": -1001}, "InvalidField", "chat", "-1001", NAMES_ALLOWED),
        (DAYS | {"chat": "x" * 257}, "InvalidField", "chat", "x" * 200, NAMES_ALLOWED),
        (DAYS | {"chat": "@../x"}, "InvalidField", "chat", "@../x", NAMES_ALLOWED),
        (DAYS | {"chat": "t.me/../"}, "InvalidField", "chat", "t.me/../", NAMES_ALLOWED),
        (DAYS | {"chat": "a\0b"}, "InvalidField", "chat", "a\\x00b", NAMES_ALLOWED),
        (without(DAYS, "days"), "MissingField", "days", None, ONE_TO_MOST),
        (DAYS | {"days": "7"}, "InvalidField", "days", "7", ONE_TO_MOST),
        (DAYS | {"days": 7.5}, "InvalidField", "days", "7.5", ONE_TO_MOST),
        (DAYS | {"days": True}, "InvalidField", "days", "true", ONE_TO_MOST),
        (DAYS | {"days": 0}, "InvalidField", "days", "0", ONE_TO_MOST),
        (DAYS | {"days": 3_661}, "InvalidField", "days", "3661", ONE_TO_MOST),
        (DAYS | {"days": 10**300}, "InvalidField", "days", "1" + "0" * 199, ONE_TO_MOST),
        (DATE | {"date": "2025-11-07T00:00+03:00"}, "InvalidField", "date", "2025-11-07T00:00+03:00", UTC_ONLY),
        (DATE | {"date": "2025-02-30"}, "InvalidField", "date", "2025-02-30", UTC_ONLY),
        (RANGE | {"to": "20251107"}, "InvalidField", "to", "20251107", UTC_ONLY),
        (DATE | {"date": None}, "InvalidField", "date", "null", UTC_ONLY),
        (without(RANGE, "from"), "MissingField", "from", None, UTC_ONLY),
        (without(RANGE, "to"), "MissingField", "to", None, UTC_ONLY),
        (DAYS | {"date": "2025-11-07"}, "UnknownField", "date", "2025-11-07", FIELDS),
        (DAYS | {"priority": 5}, "UnknownField", "priority", "5", FIELDS),
        (DAYS | {"a\nb\x1b[31m": 5}, "UnknownField", "a\\nb\\x1b[31m", "5", FIELDS),
        (DAYS | {"strategy": "fast"}, "InvalidField", "strategy", "fast", "batch, per_day"),
        (DAYS | {"options": None}, "InvalidField", "options", "null", "an object of force, priority"),
        (DAYS | {"options": {"force": "yes"}}, "InvalidField", "options.force", "yes", "true, false"),
        (DAYS | {"options": {"priority": 10}}, "InvalidField", "options.priority", "10", "a whole number from 0 to 9"),
        (DAYS | {"command_id": "7"}, "InvalidField", "command_id", "7", A_UUID),
        (DAYS | {"command_id": BARE_ID}, "InvalidField", "command_id", BARE_ID, A_UUID),
        (DAYS | {"idempotency_key": ""}, "InvalidField", "idempotency_key", "", "1-200 characters"),
    ],
)
def test_a_common_mistake_is_refused_with_its_field(
    fields: Fields, error_type: str, field: str, value: str | None, allowed: str
) -> None:
    error = refusal(text(fields))
    assert_one_precise_reason(error)
    assert (error.error_type, error.field, error.value, error.allowed) == (error_type, field, value, allowed)


@pytest.mark.parametrize(
    ("fields", "error_type", "field", "value", "allowed"),
    [
        (RANGE | {"from": "1925-11-07"}, "RangeTooLong", "from", "1925-11-07..2025-11-07", "up to 3,660 days"),
        (RANGE | {"from": "2025-11-08"}, "InvalidRange", "from", "2025-11-08", "up to 2025-11-07"),
        (DATE | {"date": "2026-03-02"}, "FutureDay", "date", "2026-03-02", "up to today, 2026-03-01 UTC"),
        (RANGE | {"to": "2026-03-02"}, "FutureDay", "to", "2026-03-02", "up to today, 2026-03-01 UTC"),
        (DATE | {"date": "2019-12-31"}, "BeforeStart", "date", "2019-12-31", "from 2020-01-01 on"),
    ],
)
def test_days_that_cannot_be_had_are_refused_with_their_field(
    fields: Fields, error_type: str, field: str, value: str, allowed: str
) -> None:
    error = refusal(text(fields))
    assert (error.error_type, error.field, error.value, error.allowed) == (error_type, field, value, allowed)


# --- the sentences ---


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "it must be an object"),
        (without(DAYS, "days"), "days: it must be there"),
        (DAYS | {"priority": 5}, "priority: there is no such field here"),
        (DAYS | {"mode": "week"}, "mode: there is no such mode"),
        (DAYS | {"command": "read"}, "command: it must be 'fetch'"),
        (DAYS | {"strategy": "fast"}, "strategy: it must be 'batch' or 'per_day'"),
        (DAYS | {"chat": -1001}, "chat: it must be a text, in quotes"),
        (DAYS | {"chat": ""}, "chat: it must not be empty"),
        (DAYS | {"chat": "x" * 257}, "chat: it must not be longer than 256 characters"),
        (DAYS | {"days": True}, "days: it must be a whole number, without quotes"),
        (DAYS | {"days": 0}, "days: it must be at least 1"),
        (DAYS | {"days": 3_661}, "days: it must be at most 3660"),
        (DAYS | {"options": {"force": "yes"}}, "options.force: it must be true or false, without quotes"),
        (DAYS | {"command_id": "7"}, f"command_id: '7' is not a UUID, such as {ID}"),
        (RANGE | {"from": "1925-11-07"}, "from: 36,526 days are too many"),
        (RANGE | {"from": "2025-11-08"}, "from: it is after to: a range must run forward in time"),
        (RANGE | {"to": "2026-03-02"}, "to: the day is in the future"),
        (DATE | {"date": "2019-12-31"}, "date: the chat's first day is 2020-01-01"),
    ],
)
def test_a_reason_is_a_sentence_about_its_field(wrong: Any, said: str) -> None:
    assert str(refusal(text(wrong))) == said


@pytest.mark.parametrize("name", ["@../x", "t.me/../", "t.me/+invite", "a\0b"])
def test_a_name_of_no_chat_is_refused_as_it_is_everywhere(name: str) -> None:
    with pytest.raises(InputError) as everywhere:
        parse_name(name)
    assert str(refusal(text(DAYS | {"chat": name}))) == str(everywhere.value)


def test_what_is_no_day_is_refused_as_it_is_everywhere() -> None:
    with pytest.raises(InputError) as everywhere:
        parse_day("2025-02-30", "to")
    assert str(refusal(text(RANGE | {"to": "2025-02-30"}))) == str(everywhere.value)


def test_what_is_no_strict_json_is_refused_as_it_is_everywhere() -> None:
    with pytest.raises(NotStrict) as everywhere:
        read_json(b"[" * 9 + b"]" * 9)
    assert str(refusal(b"[" * 9 + b"]" * 9)) == str(everywhere.value)


# --- what is read as what ---


def test_days_count_today() -> None:
    planned = plan(parse_command(text(DAYS)), today=TODAY, start=START)
    assert (planned.days.first, planned.days.last, planned.clamped) == (TODAY - timedelta(6), TODAY, False)


def test_days_before_the_first_are_left_out_and_the_start_says_so() -> None:
    command = parse_command(text(RANGE | {"from": "2019-12-01", "to": "2020-01-03"}))
    planned = plan(command, today=TODAY, start=START)
    accepted = AcceptedCommand(
        id=ID,
        slug="durov",
        chat=command.chat,
        mode=command.mode,
        params=command.params,
        first=planned.days.first,
        last=planned.days.last,
        clamped=planned.clamped,
    )
    assert (accepted.first, accepted.last) == (START, date(2020, 1, 3))
    assert str(START) in str(accepted.event("started", "running").message)
    assert accepted.event("completed", "success").message is None


def test_unknown_options_are_ignored_and_named_by_the_start() -> None:
    names = ["media", "\x07" * 1_000, *(f"option{number}" for number in range(500))]
    command = parse_command(text(DATE | {"options": {"priority": 3} | dict.fromkeys(names, 1)}))
    assert (command.options.priority, command.params["options"]) == (3, {"priority": 3})
    day = date(2025, 11, 7)
    accepted = AcceptedCommand(
        id=ID,
        slug="durov",
        chat=command.chat,
        mode=command.mode,
        params=command.params,
        first=day,
        last=day,
        ignored_options=command.options.ignored,
    )
    message = str(accepted.event("started", "running").message)
    assert "media" in message
    assert message.isprintable()
    assert len(message) < 500
    assert accepted.event("completed", "success").message is None


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert parse_command(text(DAYS | {"days": 7.0})) == parse_command(text(DAYS))


def test_the_longest_command_is_read_and_one_byte_more_is_not() -> None:
    raw = text(DAYS).ljust(MAX_COMMAND_BYTES)
    assert parse_command(raw) == parse_command(text(DAYS))
    assert refusal(raw + b" ").error_type == "TooLong"
    assert refusal(text(DAYS), MAX_COMMAND_BYTES + 1).error_type == "TooLong", "of which only the beginning came"


@pytest.mark.parametrize(
    "raw",
    [
        b"x" * 5_000_000,
        b"[" * MAX_COMMAND_BYTES,
        b"[" + b"1," * 8_000 + b"1]",
        b"{" + b",".join(b'"%d":{}' % number for number in range(1_500)) + b"}",
        text(DAYS | {str(number): {} for number in range(1_500)}),
    ],
    ids=["5 MB", "deep", "wide list", "wide object", "many unknown fields"],
)
def test_refusing_takes_little_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        refusal(raw)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
