"""One instance of every constructor of a TL type, made from its signature: what a newer Telegram may send."""

import inspect
import typing
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl

SPACES = [
    tl,
    *(space for space in vars(tl).values() if inspect.ismodule(space) and space.__name__.startswith(tl.__name__)),
]
MOMENT = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
_PLAIN = {int: 7, str: "x", bytes: b"\x00\xff", bool: True, float: 1.5, datetime: MOMENT}


def constructors(type_name: str) -> list[type]:
    """Every class of the TL type, such as `MessageMedia`."""
    union = _found(f"Type{type_name}") or _found(type_name)
    names = [a.__forward_arg__ if isinstance(a, typing.ForwardRef) else a.__name__ for a in typing.get_args(union)]
    return [_found(name) for name in names] or [union]


def _found(name: str) -> Any:
    return next((getattr(space, name) for space in SPACES if hasattr(space, name)), None)


def samples(type_name: str) -> list[Any]:
    """Each constructor twice: with as little, and with as much as it takes."""
    return [make(kind, full=full) for kind in constructors(type_name) for full in (False, True)]


def make(kind: type, *, full: bool) -> Any:
    """An instance; `full` gives the optional fields too."""
    parameters = list(inspect.signature(kind).parameters.values())
    return kind(**{p.name: _value(p.annotation) for p in parameters if full or p.default is inspect.Parameter.empty})


def _value(annotation: Any) -> Any:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        kinds = constructors(annotation.removeprefix("Type"))
        return make(min(kinds, key=lambda kind: len(inspect.signature(kind).parameters)), full=False)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        return _value(arguments[0])
    if origin is list:
        return [_value(arguments[0])]
    return _PLAIN[annotation]
