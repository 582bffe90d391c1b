import io

import pytest
from rich.table import Table
from rich.text import Text

from tg_pipeline.observability.console import SafeConsole
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
