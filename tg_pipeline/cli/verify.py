"""`tg-pipeline verify`: is the archive what it claims to be?"""

import sys
from datetime import date

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tg_pipeline.cli.options import Day, today_utc


@click.command()
@click.argument("chat", required=False)
@click.option("--from", "first", type=Day(), help="First UTC day that must be there; default: the chat's first file.")
@click.option("--to", "last", type=Day(), help="Last UTC day that must be there; default: the chat's last file.")
def verify(chat: str | None, first: date | None, last: date | None) -> None:
    """Prove the archive, or CHAT's part of it: schema, hashes, order, uniqueness, counts, missing days, progress.

    Reads files only. Exits 0 when everything holds, 1 with a table of what does not.
    """
    from tg_pipeline.bootstrap.archive import day_store, progress
    from tg_pipeline.bootstrap.chats import find_chat
    from tg_pipeline.bootstrap.settings import load_settings
    from tg_pipeline.contracts.days import DayRange
    from tg_pipeline.contracts.errors import InputError
    from tg_pipeline.storage.verify import verify as verify_chat
    from tg_pipeline.storage.verify import verify_root

    settings = load_settings()
    store, pointers = day_store(settings), progress(settings)
    slugs = [find_chat(settings, chat).slug] if chat else sorted(store.slugs())
    files = {slug: list(store.days(slug)) for slug in slugs}
    asked = {
        slug: DayRange(first or days[0], last or days[-1]) if (first or last) and days else None
        for slug, days in files.items()
    }
    if not any(files.values()):
        raise InputError(f"There is nothing to verify: no day files of {chat or 'any chat'} under {store.root}.")

    findings = [] if chat else list(verify_root(store, pointers))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        for slug in slugs:
            total = sum(1 for day in files[slug] if asked[slug] is None or day in asked[slug])
            task = bar.add_task(slug, total=total)
            findings += verify_chat(
                store,
                pointers,
                slug,
                today=today_utc(),
                days=asked[slug],
                spool_root=settings.home / "spool",
                on_day=lambda _day, task=task: bar.advance(task),
            )

    if findings:
        table = Table("chat", "day", "what", "detail")
        for finding in findings:
            what = f"{finding.kind} (harmless)" if finding.is_warning else str(finding.kind)
            table.add_row(finding.slug or "", str(finding.day or ""), what, finding.detail)
        Console(width=None if sys.stdout.isatty() else 200).print(table)
    wrong = sum(not finding.is_warning for finding in findings)
    days = sum(map(len, files.values()))
    if wrong:
        click.echo(f"{wrong} things are wrong in {days} day files of {len(slugs)} chats.")
        raise SystemExit(1)
    click.echo(f"{days} day files of {len(slugs)} chats are whole: schema, hashes, order, uniqueness, counts, progress.")
