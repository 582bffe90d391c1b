"""What a group of benchmarks hands back, and how it is shown."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Table:
    """Rows with the same keys in the same order; the keys are the columns. `note` says what is measured, and how."""

    title: str
    note: str
    rows: list[Row]


@dataclass(frozen=True)
class Aim:
    """What was to be reached, what was measured, and whether it is enough."""

    aim: str
    measured: float
    met: bool


@dataclass(frozen=True)
class Group:
    """One object of `bench.json`. `pictures` are files beside it, by name."""

    tables: list[Table]
    aims: list[Aim]
    pictures: dict[str, bytes] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Tables by title, and the aims."""
        return {
            "tables": {table.title: {"note": table.note, "rows": table.rows} for table in self.tables},
            "aims": [asdict(aim) for aim in self.aims],
        }

    def show(self, console: Console) -> None:
        """Print everything."""
        for table in self.tables:
            _print(console, table.title, table.note, table.rows)
        rows: list[Row] = [{"aim": a.aim, "measured": a.measured, "": "met" if a.met else "MISSED"} for a in self.aims]
        if rows:
            _print(console, "aims", "", rows)


def _print(console: Console, title: str, note: str, rows: list[Row]) -> None:
    shown = RichTable(title=title, caption=note, title_justify="left", caption_justify="left")
    for column, value in rows[0].items():
        shown.add_column(column, justify="left" if isinstance(value, str) else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*(_text(value) for value in row.values()))
    console.print(shown)


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
