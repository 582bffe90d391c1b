"""What is printed: a terminal obeys nothing of it, and one that lacks a character is given another."""

import sys
from collections.abc import Iterable
from io import TextIOWrapper

from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251 - the one place
from rich.segment import Segment

from tg_pipeline.contracts.text import printable_lines


def print_any_text() -> None:
    """From now on, print `?` for a character that the terminal's encoding lacks, such as cp1252 or ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


class SafeConsole(Console):
    """Prints control characters of texts, which may come from outside, as escapes. Rich's own codes stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with every text printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable_lines(segment.text), segment.style)
