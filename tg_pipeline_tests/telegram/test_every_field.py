"""No field of the installed Telegram layer is lost: each that a message can carry is in the record or in LEFT_OUT.

The walk goes from the three kinds of messages through every type that can stand in one, along every field that can hold
it. At each step it makes the smallest message that carries an object of that type there with all its fields set, and
looks for each value in the record. A flag is looked for by leaving it out: the record must change.
"""

import inspect
import itertools
import typing
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson
import pytest
from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.days import utc_text
from tg_pipeline.telegram.mapping import MessageMapper
from tg_pipeline.telegram.plain import FALSE_SAYS_SOMETHING, LEFT_OUT, SAYS, is_kept
from tg_pipeline_tests.telegram.tl_samples import MOMENT, SPACES, constructors

MAPPER = MessageMapper("chat", Peer("channel", 77, 1), 500)
MESSAGES = (tl.Message, tl.MessageService, tl.MessageEmpty)
NUMBERS = itertools.count(700_000_001)

Step = tuple[type, str]
"""A type and its field that holds the next one."""


class Field(typing.NamedTuple):
    """What a field holds: a scalar type, or the constructors of a TL type; in a list or not."""

    name: str
    scalar: type | None
    kinds: tuple[type, ...]
    many: bool
    optional: bool


@cache
def fields(kind: type) -> tuple[Field, ...]:
    """The fields of a constructor, as its signature tells them."""
    return tuple(
        field(p.name, p.annotation, optional=p.default is None) for p in inspect.signature(kind).parameters.values()
    )


def field(name: str, annotation: Any, *, optional: bool) -> Field:
    if typing.get_origin(annotation) is typing.Union:
        kinds = [a for a in typing.get_args(annotation) if a is not type(None)]
        if len(kinds) > 1:
            return Field(name, None, tuple(found(kind.__name__) for kind in kinds), many=False, optional=optional)
        annotation = kinds[0]
    many = typing.get_origin(annotation) is list
    if many:
        (annotation,) = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Union:
        return Field(name, None, tuple(found(k.__name__) for k in typing.get_args(annotation)), many, optional)
    annotation = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(annotation, str):
        return Field(name, None, tuple(constructors(annotation.removeprefix("Type"))), many, optional)
    if issubclass(annotation, TLObject):
        return Field(name, None, (found(annotation.__name__),), many, optional)
    return Field(name, annotation, (), many, optional)


@cache
def found(name: str) -> type:
    kind: type = next(getattr(space, name) for space in SPACES if hasattr(space, name))
    return kind


def scalar(kind: type) -> Any:
    """A value that no other field has."""
    number = next(NUMBERS)
    if kind is datetime:
        return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=number - 700_000_000)
    return {int: number, float: number + 0.5, str: f"word{number}", bytes: b"%d" % number, bool: True}[kind]


def smallest(kind: type, given: dict[str, Any]) -> Any:
    """An object with these fields and otherwise only what it must have."""
    needed = {f.name: value(f) for f in fields(kind) if not f.optional and f.name not in given}
    if kind in MESSAGES:
        needed["date"] = MOMENT
    return kind(**(needed | given))


def value(field: Field) -> Any:
    made = scalar(field.scalar) if field.scalar else smallest(shortest(field.kinds), {})
    return [made] if field.many else made


@cache
def shortest(kinds: tuple[type, ...]) -> type:
    return min(kinds, key=lambda kind: sum(10 if f.kinds else 1 for f in fields(kind) if not f.optional))


def record(path: tuple[Step, ...], leaf: Any) -> str:
    """The record, as JSON, of the smallest message that carries `leaf` at the end of `path`."""
    made = leaf
    for kind, name in reversed(path):
        (at,) = (f for f in fields(kind) if f.name == name)
        made = smallest(kind, {name: [made] if at.many else made})
    return orjson.dumps(MAPPER.record(made, 0).body).decode()


def edges() -> Iterator[tuple[tuple[Step, ...], type]]:
    """Every constructor in every field that can hold it, with the shortest way there, except in what is left out."""
    waiting: deque[tuple[tuple[Step, ...], type]] = deque(((), kind) for kind in MESSAGES)
    seen: set[tuple[type, str]] = set()
    while waiting:
        path, kind = waiting.popleft()
        yield path, kind
        summarised = path[0][1] if path and kind in SAYS else ""
        if (kind, summarised) in seen:
            continue
        seen.add((kind, summarised))
        for f in fields(kind):
            if is_kept(tl.Message if kind in MESSAGES else kind, f.name):
                waiting.extend(((*path, (kind, f.name)), held) for held in f.kinds if held not in MESSAGES)


WAYS = list(edges())


def written(value: Any) -> str:
    if isinstance(value, datetime):
        return utc_text(int(value.timestamp()))
    return value.hex() if isinstance(value, bytes) else str(value)


def lost(path: tuple[Step, ...], kind: type) -> list[str]:
    """The fields of `kind` that a record does not show."""
    name = "Message" if kind in MESSAGES else kind.__name__
    kept = [f for f in fields(kind) if f.scalar and f"{name}.{f.name}" not in LEFT_OUT and f.name not in LEFT_OUT]
    values = {f.name: scalar(f.scalar) for f in kept if f.scalar}
    given = {f.name: [values[f.name]] if f.many else values[f.name] for f in kept}
    full = record(path, smallest(kind, given))
    flags = [f for f in kept if f.scalar is bool and f.optional]
    missing = [f.name for f in kept if f.scalar is not bool and written(values[f.name]) not in full]
    missing += [f.name for f in flags if record(path, smallest(kind, given | {f.name: None})) == full]
    missing += [f.name for f in kept if f.scalar is bool and not f.optional and f'"{f.name}":true' not in full]
    where = " > ".join([*(f"{k.__name__}.{n}" for k, n in path), kind.__name__])
    return [f"{where}.{field}" for field in missing]


def test_every_field_of_every_type_in_a_message_is_kept_or_left_out_for_a_reason() -> None:
    missing = [what for path, kind in WAYS for what in lost(path, kind)]
    assert missing == [f"{kind.__name__}.date" for kind in MESSAGES]  # given to the mapper beside the message


def test_things_that_differ_only_in_their_kind_differ_in_the_record() -> None:
    alike: dict[tuple[tuple[Step, ...], str], list[str]] = {}
    for path, kind in WAYS:
        if path and not fields(kind):
            alike.setdefault((path, record(path, kind())), []).append(kind.__name__)
    same = {tuple(names) for names in alike.values() if len(names) > 1}
    assert same == set()


def test_a_false_that_is_no_missing_flag_is_kept() -> None:
    said = set()
    for kind in {kind for path, kind in WAYS if path}:
        thing = smallest(kind, {})
        unset = bytes(thing)
        for name in (f.name for f in fields(kind) if f.scalar is bool and f.optional):
            setattr(thing, name, False)
            if bytes(thing) != unset:
                said.add(f"{kind.__name__}.{name}")
            setattr(thing, name, None)
    assert said == FALSE_SAYS_SOMETHING


def test_no_word_time_measure_or_file_is_left_out() -> None:
    said = set()
    for entry in LEFT_OUT:
        kind, _, name = entry.rpartition(".")
        for f in (f for f in fields(found(kind)) if f.name == name) if kind else ():
            files = {tl.Document, tl.Photo, tl.WebDocument} & set(f.kinds)
            if f.scalar in {str, datetime, float} or files:
                said.add(entry)
    assert said == {"WebPagePending.date"}  # when Telegram expects to have the preview


@pytest.mark.parametrize(
    ("kind", "field"),
    [(tl.MessageFwdHeader, "saved_out"), (tl.WebPage, "id"), (tl.WebPageEmpty, "id"), (tl.WebPagePending, "id")],
)
def test_what_does_not_depend_on_who_reads_is_kept(kind: type, field: str) -> None:
    assert is_kept(kind, field)


@pytest.mark.parametrize("entry", LEFT_OUT)
def test_what_is_left_out_exists_and_has_a_reason(entry: str) -> None:
    assert LEFT_OUT[entry]
    kind, _, name = entry.rpartition(".")
    assert not kind or name in inspect.signature(found(kind)).parameters
