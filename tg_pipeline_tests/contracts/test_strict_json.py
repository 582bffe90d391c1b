"""What JSON does not have, or leaves open, is refused in a sentence."""

import pytest

from tg_pipeline.contracts.strict_json import NotStrict, read_json


def refusal(raw: bytes) -> NotStrict:
    with pytest.raises(NotStrict) as found:
        read_json(raw)
    return found.value


@pytest.mark.parametrize(
    ("reason", "value", "raws"),
    [
        ("It is empty.", "", [b""]),
        ("It is not JSON: Expecting value (line 1, column 1).", "fetch", [b"fetch"]),
        ("It begins with a byte order mark: leave that out.", None, ["{}".encode("utf-8-sig")]),
        ("It is not UTF-8 (invalid start byte at byte 0).", None, ["{}".encode("utf-16"), b"\xff"]),
        ("It holds half of a surrogate pair, which is no character.", None, [b'{"a":"\\ud800"}']),
        ("NaN is no number of JSON.", "NaN", [b'{"a":NaN}', b"NaN"]),
        ("It holds a number of thousands of digits.", None, [b'{"a":' + b"9" * 5_000 + b"}"]),
        ("It is nested too deep.", None, [b"[" * n + b"]" * n for n in (9, 8_000)] + [b"[" * 10_000]),
    ],
)
def test_what_is_not_json_is_said(reason: str, value: str | None, raws: list[bytes]) -> None:
    for raw in raws:
        error = refusal(raw)
        assert (error.kind, error.key, str(error)) == ("NotJson", "", reason)
        assert value in (None, error.value)


@pytest.mark.parametrize(("raw", "place"), [(b'{"a": 1}{}', "line 1, column 9"), (b'{"a":\n"\n"}', "line 2, column 2")])
def test_what_is_not_json_is_said_with_its_place(raw: bytes, place: str) -> None:
    assert place in str(refusal(raw))


def test_a_key_that_is_listed_twice_is_named() -> None:
    error = refusal(b'{"a": {"chat": 1, "chat": 2}}')
    assert (error.kind, error.key, str(error)) == ("DuplicateKey", "chat", "the key is listed twice")


def test_infinity_is_no_number() -> None:
    assert refusal(b"-Infinity").value == "-Infinity"


def test_whole_floats_are_integers() -> None:
    read = read_json(b"[7.0, 7.5]")
    assert list(map(type, read)) == [int, float]
