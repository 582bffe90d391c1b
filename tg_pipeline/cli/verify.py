"""`tg-pipeline verify`: is the archive what it claims to be?"""

import sys
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tg_pipeline.cli.options import ChatCommand, Day, echo, print_table, today_utc
from tg_pipeline.contracts.text import count, printable
from tg_pipeline.observability.console import SafeConsole

if TYPE_CHECKING:
    from tg_pipeline.contracts.days import DayRange
    from tg_pipeline.contracts.findings import Finding


@click.command(cls=ChatCommand)
@click.argument("chat", required=False)
@click.option("--from", "first", type=Day(), help="First UTC day that must be there; default: the chat's first file.")
@click.option("--to", "last", type=Day(), help="Last UTC day that must be there; default: the chat's last file.")
def verify(chat: str | None, first: date | None, last: date | None) -> None:
    """Prove the archive, or CHAT's part of it: schema, hashes, order, uniqueness, counts, missing days, progress.

    Reads files only. Exits 0 when everything holds, 1 with a table of what does not.
    """
    from tg_pipeline.app.archive import interrupted, open_archive
    from tg_pipeline.app.chats import find_chat, registered
    from tg_pipeline.contracts.errors import InputError
    from tg_pipeline.settings import load_settings

    settings = load_settings()
    store = open_archive(settings)
    present = {slug: list(store.days(slug)) for slug in ([find_chat(settings, chat).slug] if chat else store.slugs())}
    entries = {entry.slug: entry for entry in registered(settings)}
    findings = [] if chat else list(store.verify_rest(entries.values(), today=today_utc()))
    files = 0
    with _progress_bar() as bar:
        for slug, days in present.items():
            asked = _asked(days, first, last)
            read = [day for day in days if asked is None or day in asked]
            files += len(read)
            task = bar.add_task(slug, total=len(read))
            findings += store.verify_chat(
                slug,
                today=today_utc(),
                days=asked,
                entry=entries.get(slug),
                interrupted=interrupted(settings, slug),
                on_day=lambda _: bar.advance(task),  # noqa: B023 - called before the next turn
            )
    if not any(present.values()) and all(finding.is_warning for finding in findings):
        raise InputError(f"There is nothing to verify: no day files of {chat or 'any chat'} under {store.where()}.")
    _report(findings, files=files, chats=len(present))


def _asked(days: "Sequence[date]", first: date | None, last: date | None) -> "DayRange | None":
    """The days that must be there, given those that are: None stands for all from the first file to the last."""
    from tg_pipeline.contracts.days import DayRange

    if not days or (first is None and last is None):
        return None
    first = first or min(filter(None, (days[0], last)))
    return DayRange(first, last or max(days[-1], first)).not_in_future(today_utc())


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=SafeConsole(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _report(findings: "Sequence[Finding]", *, files: int, chats: int) -> None:
    """Print what was found; exit 1 where something is wrong."""
    if findings:
        table = Table("chat", "day", "what", "detail")
        for finding in findings:
            what = f"{finding.kind} (warning)" if finding.is_warning else str(finding.kind)
            table.add_row(finding.slug or "", str(finding.day or ""), what, Text(printable(finding.detail)))
        print_table(table)
    if wrong := sum(not finding.is_warning for finding in findings):
        echo(f"{count(wrong, 'thing')} wrong in {count(files, 'day file')} of {count(chats, 'chat')}.")
        raise SystemExit(1)
    whole = f"{count(files, 'day file')} of {count(chats, 'chat')}"
    partly = len({(finding.slug, finding.day) for finding in findings if finding.kind == "not_visible"})
    begun = len({finding.slug for finding in findings if finding.kind == "not_fetched"})
    cut_off = sum(finding.kind == "interrupted" for finding in findings)
    lacking = [f"{count(partly, 'day')} the account cannot see fully"] if partly else []
    lacking += [f"{count(begun, 'chat')} not fetched from the beginning"] if begun else []
    lacking += [f"{count(cut_off, 'range')} with an interrupted fetch"] if cut_off else []
    verdict = f"Valid, but not whole: {', '.join(lacking)}, in" if lacking else "Whole:"
    echo(f"{verdict} {whole}. Checked: schema, hashes, order, uniqueness, counts, progress.")
