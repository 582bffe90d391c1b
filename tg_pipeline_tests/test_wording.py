"""The wording of a message is asserted once, where the message is defined.

A phrase is four words in a row, whatever their case and punctuation. Tests may quote a phrase of the package's strings
as often as the package defines it, and only at home: in the test module that mirrors the defining module
(`tg_pipeline/machine/lease.py`: `tg_pipeline_tests/machine/test_lease.py`) or, where none does, in the test modules of
the same room. Other tests assert on types, fields, exit codes and values. A number, an option, a name in capitals and
an interpolated value are values: they end a phrase. Docstrings and the messages of `assert` are not looked at.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.with_name("tg_pipeline")
WORDS = 4
ADVICE = "Quote a message once, in its home; elsewhere assert on a type, a field or a value:"
VALUE = re.compile(r"[^\w\s,.;:'\"\\-]|\\[a-z]|\d|--|\b[A-Z]+_[A-Z_]+\b")
"""What ends a phrase. An escaped dot does not: a regular expression quotes what it matches."""


@dataclass(frozen=True)
class Place:
    """Where a string stands: its module, relative to the package or to the tests, and its line."""

    module: Path
    line: int


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string; an f-string is one, with NUL for its values."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):  # a node comes before its children
        if node in skipped:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        elif isinstance(node, ast.Assert) and node.msg:
            skipped.update(ast.walk(node.msg))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
            parts = (str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def phrases(text: str) -> set[str]:
    """Each WORDS words in a row, in lower case."""
    found: set[str] = set()
    for run in VALUE.split(text):
        words = re.findall(r"[^\W_][\w'-]*", run.casefold())
        found.update(" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1))
    return found


def places(root: Path) -> dict[str, list[Place]]:
    """Where each phrase stands in the modules under `root`."""
    found = defaultdict(list)
    for module in sorted(root.rglob("*.py")):
        for line, text in literals(module.read_text()):
            for phrase in phrases(text):
                found[phrase].append(Place(module.relative_to(root), line))
    return found


def home(module: Path) -> Path:
    """Where the messages of a module of the package may be quoted: a test module, or the directory of a room."""
    mirror = module.with_name(f"test_{module.name}")
    return mirror if (TESTS / mirror).exists() else Path(module.parts[0])


def strays(defined: list[Place], quoted: list[Place]) -> Iterator[Place]:
    """The quotes of one phrase that are away from home, or one too many."""
    unquoted = [home(place.module) for place in defined]
    for quote in quoted:
        at = next((home for home in unquoted if home in (quote.module, *quote.module.parents)), None)
        if at is None:
            yield quote
        else:
            unquoted.remove(at)


def test_the_wording_of_a_message_is_asserted_once_where_the_message_is_defined() -> None:
    wrong: dict[Place, str] = {}
    quoted = places(TESTS)
    for phrase, defined in places(PACKAGE).items():
        for quote in strays(defined, quoted.get(phrase, [])):
            owners = " or ".join(sorted({f"{place.module} (home: {home(place.module)})" for place in defined}))
            wrong[quote] = f"{quote.module}:{quote.line} quotes {phrase!r} of {owners}"
    if wrong:
        pytest.fail("\n".join([ADVICE, *sorted(wrong.values())]), pytrace=False)


def test_a_phrase_is_found_across_the_ways_to_write_it() -> None:
    ((_, message),) = literals('(f"{what} swims "\nf"in {sea}; there was "\n"no fish.")')
    assert phrases(message) == {"there was no fish"}
    assert phrases(r"^There was No\. fish \d") == phrases("there was, no fish 7") == {"there was no fish"}
    assert not phrases("SEA_URI: fish:// --to 7 days no fish")


def test_a_docstring_and_the_message_of_an_assertion_are_free() -> None:
    assert list(literals('"""Doc."""\nassert x == "a", "b"')) == [(2, "a")]


def test_a_message_may_be_quoted_once_by_its_mirror_or_its_room() -> None:
    here, cli = Place(Path("test_wording.py"), 1), Place(Path("cli/main.py"), 1)
    mirror, other = Place(Path("cli/test_main.py"), 1), Place(Path("cli/test_up.py"), 1)
    assert list(strays([cli], [mirror])) == []
    assert list(strays([cli], [mirror, mirror])) == [mirror]
    assert list(strays([cli], [other, here])) == [other, here]
    assert list(strays([Place(Path("cli/no_mirror.py"), 1)], [other, here])) == [here]
