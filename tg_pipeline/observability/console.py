"""The one rich console: of what it is given to print, a terminal obeys nothing."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251 - the one place
from rich.segment import Segment

from tg_pipeline.contracts.text import printable_lines


class SafeConsole(Console):
    """Prints control characters of texts, which may come from outside, as escapes. Rich's own codes stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with every text printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable_lines(segment.text), segment.style)
