"""One room imports what Dagster does not publish, and nothing that nobody needs."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import tg_pipeline

PACKAGE = Path(tg_pipeline.__file__).parent
ROOM = PACKAGE / "dagster_internals"
REEXPORTS = sorted(path.stem for path in ROOM.glob("*.py") if "__all__" in path.read_text())


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Each name that a file imports from a module, with the module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_no_other_file_imports_what_dagster_does_not_publish() -> None:
    others = [path for path in PACKAGE.rglob("*.py") if ROOM not in path.parents]
    assert [path for path in others if any(module.startswith("dagster._") for module, _ in imported(path))] == []


@pytest.mark.parametrize("name", REEXPORTS)
def test_each_name_is_there_and_needed(name: str) -> None:
    module = f"tg_pipeline.dagster_internals.{name}"
    found = import_module(module)
    assert found.__doc__ is not None
    assert "Waits for" in found.__doc__, "the public API that would do"
    used = {what for path in PACKAGE.rglob("*.py") for where, what in imported(path) if where == module}
    assert used == set(found.__all__)
