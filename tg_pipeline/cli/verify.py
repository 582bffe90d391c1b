"""`tg-pipeline verify`: is the archive what it claims to be?"""

from datetime import date

import click
from rich.console import Console
from rich.table import Table

from tg_pipeline.cli.options import Day, today_utc


@click.command()
@click.argument("chat", required=False)
@click.option("--from", "first", type=Day(), help="First UTC day to look at; default: the chat's first file.")
@click.option("--to", "last", type=Day(), help="Last UTC day to look at; default: the chat's last file.")
@click.pass_context
def verify(ctx: click.Context, chat: str | None, first: date | None, last: date | None) -> None:
    """Prove the archive, or CHAT's part of it: schema, hashes, order, uniqueness, counts, missing days, progress.

    Reads files only. Exits 0 when everything holds, 1 with a table of what does not.
    """
