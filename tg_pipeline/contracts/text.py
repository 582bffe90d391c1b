"""Words for people: outside text made safe to print, and counts."""

_KEPT = {"\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}", "\N{NO-BREAK SPACE}"}
"""Not printable by Python's rule, and part of many emoji, of Persian words and of titles."""


def is_printable(character: str) -> bool:
    """Whether a terminal shows the character and neither obeys it nor lets it hide or reorder others."""
    return character.isprintable() or character in _KEPT


def printable(text: str) -> str:
    r"""The text on one line, with every character that is not printable as `\u001b`.

    JSON stays JSON of the same value: outside of its strings it has only printable characters.
    """
    return text if text.isprintable() else "".join(c if is_printable(c) else _escaped(c) for c in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def count(number: int, noun: str) -> str:
    """`1 day`, `1,000 days`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
