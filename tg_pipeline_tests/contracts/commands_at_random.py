"""What hypothesis makes commands of: valid ones, and any JSON."""

from typing import Any

from hypothesis import strategies as st

from tg_pipeline.contracts.commands import KEY_LENGTH, MAX_DAYS
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.names import parse_name

Fields = dict[str, Any]


def names_a_chat(text: str) -> bool:
    try:
        parse_name(text)
    except InputError:
        return False
    return True


_days = st.dates().map(str)
_chats = st.one_of(
    st.from_regex(r"@?[A-Za-z][A-Za-z0-9_]{2,31}", fullmatch=True),
    st.from_regex(r"(https://)?t\.me/[A-Za-z][A-Za-z0-9_]{4,20}(/[0-9]{1,5})?", fullmatch=True),
    st.integers(-(10**15), 10**15).map(str),
    st.text(min_size=1, max_size=256),
).filter(names_a_chat)
_options = st.fixed_dictionaries(
    {}, optional={"force": st.booleans(), "priority": st.integers(0, 9), "media": st.booleans()}
)
_modes = st.one_of(
    st.fixed_dictionaries({"mode": st.just("date"), "date": _days}),
    st.fixed_dictionaries({"mode": st.just("days"), "days": st.integers(1, MAX_DAYS)}),
    st.fixed_dictionaries({"mode": st.just("range"), "from": _days, "to": _days}),
)
_rest = st.fixed_dictionaries(
    {"command": st.just("fetch"), "chat": _chats},
    optional={
        "strategy": st.sampled_from(["batch", "per_day", None]),
        "options": _options,
        "command_id": st.none() | st.uuids().map(str) | st.uuids().map(lambda found: str(found).upper()),
        "idempotency_key": st.none() | st.text(min_size=1, max_size=KEY_LENGTH),
    },
)


def valid_commands() -> st.SearchStrategy[Fields]:
    """Commands of every mode, as their senders write them."""
    return st.builds(lambda rest, mode: rest | mode, _rest, _modes)


def any_json(*, numbers_of_json: bool = True) -> st.SearchStrategy[Any]:
    """Any value; `numbers_of_json` leaves out NaN and the infinities."""
    floats = st.floats(allow_nan=not numbers_of_json, allow_infinity=not numbers_of_json)
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=6,
    )
