"""As much of PromQL as it takes to tell which series and labels an expression asks for."""

import re
from collections.abc import Iterator

GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)"
WORDS = {"and", "or", "unless", "bool", "offset"}


def asked_for(expression: str) -> tuple[set[str], set[str]]:
    """Names of series, and of labels, in matchers and groupings."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", '""', expression)
    labels = {name for found in re.findall(GROUPING, text) for name in re.findall(r"\w+", found)}
    labels |= {name for found in re.findall(r"\{([^{}]*)\}", text) for name in re.findall(r"(\w+)\s*(?:=|!)", found)}
    text = re.sub(GROUPING, " ", text)
    text = re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]", " ", text)
    return set(_series(text)), labels


def _series(text: str) -> Iterator[str]:
    for found in re.finditer(r"(?<![\w.])[a-zA-Z_:][\w:]*", text):
        is_function = text[found.end() :].lstrip().startswith("(")
        if found[0] not in WORDS and not is_function:
            yield found[0]
