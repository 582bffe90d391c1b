"""What several verbs share: arguments, and the form of what they print."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.cells import cell_len, set_cell_size
from rich.table import Table

from tg_pipeline.contracts.days import parse_day
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.text import printable, printable_lines
from tg_pipeline.observability.console import SafeConsole

WIDTH_OF_A_FILE = 200
"""Columns of a table where no terminal says how wide it is."""


class Day(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.5
    """A UTC day that has begun: YYYY-MM-DD, `today` or `yesterday`."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day, or a usage error that says what is allowed."""
        if isinstance(value, date):
            return value
        today = today_utc()
        if value in {"today", "yesterday"}:
            return today if value == "today" else date.fromordinal(today.toordinal() - 1)
        try:
            day = parse_day(str(value), _flag(param))
        except InputError as error:
            raise click.UsageError(str(error), ctx) from None
        if day > today:
            latest = f"The latest day that can be read is today, {today} UTC."
            raise click.UsageError(f"{_flag(param)}: {day} is in the future. {latest}", ctx)
        return day


class Zone(click.ParamType):  # type: ignore[type-arg] # as above
    """A time zone by its name, such as Europe/Berlin."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """The zone, or a usage error."""
        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is no time zone, such as Europe/Berlin.", param, ctx)


class ChatCommand(click.Command):
    """A verb that takes a chat. An id such as -1001234567890 is an argument to it, not options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does."""
        ctx.ignore_unknown_options = any(re.fullmatch(r"-\d+", arg) for arg in args)
        return super().parse_args(ctx, args)


def _flag(param: click.Parameter | None) -> str:
    return param.opts[0] if param else "date"


def today_utc() -> date:
    """The UTC day it is."""
    return datetime.now(UTC).date()


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a text, which may quote what came from outside, so that a terminal obeys nothing of it."""
    click.echo(printable_lines(text), err=err)  # noqa: TID251 - the one place


def print_columns(*rows: Sequence[str]) -> None:
    """Plain columns, the first row being their heads.

    Where a terminal is too narrow it wraps the line itself, so that whatever is in it can be copied whole.
    """
    table = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    for row in table:
        echo("  ".join(set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_table(table: Table) -> None:
    """To standard output, as wide as it needs to be where no terminal says how wide it may."""
    SafeConsole(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE).print(table)


def reachable(host: str) -> str:
    """An address to call a server at that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
