import io
import sys

import pytest
from rich.table import Table
from rich.text import Text

from tg_pipeline.observability.console import SafeConsole, print_any_text
from tg_pipeline_tests.hostile import HOSTILE, unprintable


@pytest.mark.parametrize("what", ["text", "table"])
def test_a_terminal_obeys_nothing_of_what_is_printed(what: str) -> None:
    table = Table("chat", "detail")
    table.add_row(Text(HOSTILE), Text(HOSTILE))
    output = io.StringIO()
    SafeConsole(file=output, width=200).print(Text(HOSTILE) if what == "text" else table)
    assert unprintable(output.getvalue()) == set()
    assert r"\u001b]0;owned" in output.getvalue()


def test_colours_stay() -> None:
    output = io.StringIO()
    SafeConsole(file=output, force_terminal=True, color_system="standard").print(Text("ok", "green"))
    assert output.getvalue() == "\x1b[32mok\x1b[0m\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "koi8-r", "utf-8"])
def test_a_terminal_that_lacks_a_character_is_given_another(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding))
    print_any_text()
    table = Table("chat")
    table.add_row("🔥 Семья")
    SafeConsole().print(table)
    sys.stderr.write("🔥 Семья \ud800")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        text = stream.buffer.getvalue().decode(encoding)  # type: ignore[union-attr] # the one put there above
        assert ("🔥" in text) == (encoding == "utf-8")
        assert ("Семья" in text) == (encoding in {"utf-8", "koi8-r"})
