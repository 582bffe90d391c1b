import json

import pytest

from tg_pipeline.contracts.text import count, printable, printable_lines
from tg_pipeline_tests.hostile import HOSTILE, unprintable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("привет, 世界 👨\u200d👩\u200d👧 می\u200cخواهم 10\xa0%", None),
        ("a\x1b[31mb", r"a\u001b[31mb"),
        ("a\nb\r\tc", r"a\u000ab\u000d\u0009c"),
        ("\x7f\x9b", r"\u007f\u009b"),
        ("\u202e\u2066\u2028", r"\u202e\u2066\u2028"),
        ("\U000e0041", r"\udb40\udc41"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_an_escape(text: str, shown: str | None) -> None:
    assert printable(text) == (text if shown is None else shown)


def test_lines_stay_lines() -> None:
    assert printable_lines("a\x07\nb") == "a\\u0007\nb"


def test_json_stays_json_of_the_same_value() -> None:
    value = {HOSTILE: [HOSTILE, "\U000e0041 \ud800"]}
    text = printable_lines(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert unprintable(text) == set()


@pytest.mark.parametrize(("number", "text"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (12_345, "12,345 days")])
def test_a_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert count(number, "day") == text
