"""A text that does to a terminal what it can, and what is left of it in an output."""

from tg_pipeline.contracts.text import is_printable

HOSTILE = "\x1b]0;owned\x07\x1b[2J \x9b31m \x7f \u202egnp.exe\r [/red] *bold*"


def unprintable(output: str) -> set[str]:
    """The characters that a terminal would obey. Lines end, which is no fault."""
    return {character for character in output if not is_printable(character) and character != "\n"}
