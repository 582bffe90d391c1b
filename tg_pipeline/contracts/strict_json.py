"""JSON as other programs send it, read strictly: what JSON does not have, or leaves open, is refused in a sentence."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

from tg_pipeline.contracts.errors import InputError

VALUE_SHOWN = 200
NESTED_MOST = 8


class NotStrict(InputError):
    """`kind` is "NotJson", or "DuplicateKey", whose key is `key`; `value` is what was found, where it can be shown."""

    def __init__(self, kind: str, reason: str, *, key: str = "", value: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.key = key
        self.value = value


def read_json(raw: bytes) -> Any:
    """Any JSON value of UTF-8, up to NESTED_MOST levels deep; floats that are whole come as integers.

    NotStrict for anything else, also for NaN, a key that stands twice, half a character, and for numbers of thousands
    of digits.
    """
    reason, value = "", None
    try:
        text = raw.decode()
        parsed = json.loads(
            text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant, parse_float=_whole_where_it_is
        )
        if _is_deeper(parsed, NESTED_MOST):
            raise RecursionError
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        reason = "It holds half of a surrogate pair, which is no character."
    except UnicodeDecodeError as error:
        reason = f"It is not UTF-8 ({error.reason} at byte {error.start})."
    except RecursionError:
        reason = "It is nested too deep."
    except json.JSONDecodeError as error:
        reason, value = _not_json(error), shown(raw)
    except ValueError:  # Python reads no integers of more than 4,300 digits
        reason = "It holds a number of thousands of digits."
    else:
        return parsed
    raise NotStrict("NotJson", reason, value=value)


def shown(value: Any) -> str:
    """What was found, on one line and cut short, whatever it was."""
    if isinstance(value, bytes):
        text = value[:VALUE_SHOWN].decode(errors="backslashreplace")
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    printable = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:VALUE_SHOWN])
    return "".join(printable)[:VALUE_SHOWN]


def _not_json(error: json.JSONDecodeError) -> str:
    if not error.doc.strip():
        return "It is empty."
    if error.doc.startswith("\ufeff"):
        return "It begins with a byte order mark: leave that out."
    return f"It is not JSON: {error.msg.removesuffix(' at')} (line {error.lineno}, column {error.colno})."


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _whole_where_it_is(text: str) -> float:
    """JSON does not distinguish 7.0 from 7, and some languages write the one for the other."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _no_key_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise NotStrict("DuplicateKey", "the key is listed twice", key=shown(twice))
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotStrict("NotJson", f"{name} is no number of JSON.", value=name)
