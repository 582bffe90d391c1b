"""`tg-pipeline fetch`: a range of days, now, in this process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tg_pipeline.cli.options import ChatCommand, Day, echo
from tg_pipeline.cli.running import Terminated, run_stoppably
from tg_pipeline.contracts.day_file import describe
from tg_pipeline.contracts.errors import TRY_LATER, CircuitOpen, FloodWaitError, TgPipelineError
from tg_pipeline.contracts.text import count
from tg_pipeline.observability.console import SafeConsole

if TYPE_CHECKING:
    from tg_pipeline.contracts.fetch import FetchProgress, FetchReport, OnProgress
    from tg_pipeline.settings import Settings


@click.command(cls=ChatCommand)
@click.argument("chat")
@click.option("--from", "first", type=Day(), required=True, help="First UTC day, YYYY-MM-DD, today or yesterday.")
@click.option("--to", "last", type=Day(), default="today", show_default=True, help="Last UTC day, included.")
@click.option("--accept-deletions", is_flag=True, help="Where most of a day is gone, record that it was deleted.")
def fetch(chat: str, first: date, last: date, *, accept_deletions: bool) -> None:
    """Fetch CHAT's days FROM..TO into daily JSON files.

    CHAT is a slug of chats.yaml, @username, a t.me link, a numeric id or a dialog's title. Interrupted, the same
    command goes on where it stopped. Days fetched before are read again, to follow edits and deletions since then.
    Exits 1 where a day is held back: most of its messages were missing, and none is marked deleted.
    """
    from tg_pipeline.app.chats import find_chat, registered
    from tg_pipeline.app.fetch import fetch_through_outages
    from tg_pipeline.app.process import keep_traces
    from tg_pipeline.contracts.days import DayRange
    from tg_pipeline.monitoring.metrics import pushed
    from tg_pipeline.observability.logs import about
    from tg_pipeline.observability.traces import trace
    from tg_pipeline.settings import load_settings

    settings = load_settings()
    found = find_chat(settings, chat)
    days = DayRange(first, last)
    keep_traces(settings)
    facts = {"tg.chat": found.slug, "tg.first_day": str(first), "tg.last_day": str(last)}
    with about(chat=found.slug), trace("fetch", facts), _progress_bar(found.slug, len(days)) as on_progress:
        try:
            read = partial(fetch_through_outages, accept_deletions=accept_deletions, on_progress=on_progress)
            with pushed(settings):
                report = run_stoppably(partial(read, settings, found, days))
        except (KeyboardInterrupt, Terminated):
            echo("Interrupted. What was read is kept: run the same command to go on.", err=True)
            raise
        except TRY_LATER as error:
            echo(f"tg-pipeline: {error} {how_to_go_on(error, datetime.now(UTC))}", err=True)
            raise SystemExit(1) from None
    _summarise(report)
    if found in registered(settings):
        _tell_dagster(settings, report)
    if report.with_condition("held_back"):
        raise SystemExit(1)


def how_to_go_on(error: TgPipelineError, now: datetime) -> str:
    """What to do after an error that may be gone later, and from when on where that is known."""
    kept = "What was read is kept: the same command goes on where this one stopped"
    if not isinstance(error, CircuitOpen | FloodWaitError):
        return f"{kept}."
    again = now + timedelta(seconds=error.seconds + 1)
    return f"{kept}, from {again:{'%H:%M:%S' if again.date() == now.date() else '%Y-%m-%d %H:%M:%S'}} UTC on."


@contextmanager
def _progress_bar(slug: str, days: int) -> Iterator["OnProgress"]:
    console = SafeConsole(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("days  {task.fields[messages]}  {task.fields[calls]}  {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(slug, total=days, messages="", calls="", rate=0.0)

        def on_progress(moment: "FetchProgress") -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            rate = moment.messages / elapsed if elapsed else 0.0
            messages, calls = count(moment.messages, "message"), count(moment.calls, "call")
            bar.update(task, completed=moment.days_done, messages=messages, calls=calls, rate=rate)

        yield on_progress


def _summarise(report: "FetchReport") -> None:
    changed = sum(day.changed for day in report.days)
    parts = [
        f"{report.slug} {report.range}: {count(len(report.days), 'day')}, {count(report.messages, 'message')} read",
        count(report.meter.total_calls, "call"),
        f"{count(changed, 'file')} written, {len(report.days) - changed} unchanged",
        f"{report.duration_seconds:.1f} s",
    ]
    for messages, what in (
        (sum(day.deleted for day in report.days), "found deleted"),
        (report.unreadable, "could not be decoded"),
        (report.empty, "came empty, as deleted ones may"),
    ):
        if messages:
            parts.append(f"{count(messages, 'message')} {what}")
    if report.resumed_days:
        parts.insert(1, f"{count(len(report.resumed_days), 'day')} kept from the interrupted run")
    if report.meter.total_retries:
        parts.append(f"retried {count(report.meter.total_retries, 'time')}")
    if paced := report.meter.waits["rate"]:
        parts.append(f"paced {paced:.0f} s by the rate limit")
    if slept := report.meter.slept_for_floods:
        parts.append(f"asked by Telegram to wait {report.meter.asked_seconds:.0f} s, slept {slept:.0f} s")
    echo("; ".join(parts) + ".")
    for kind in ("not_visible", "held_back"):
        if found := report.with_condition(kind):
            first, condition = found[0]
            more = f", the first is {first}" if len(found) > 1 else f" ({first})"
            echo(f"{count(len(found), 'day')} {kind.replace('_', ' ')}{more}: {describe(condition)}.", err=True)
    if kept := report.resumed_not_visible:
        days = f"{count(len(kept), 'day')} kept from the interrupted run, the first is {kept[0]},"
        again = f"tg-pipeline fetch {report.slug} --from {kept[0]} --to {kept[-1]}"
        echo(f"{days} not visible to the account that read them. To complete them: {again}", err=True)


def _tell_dagster(settings: "Settings", report: "FetchReport") -> None:
    """Where this instance is used with Dagster, let its UI show the days as materialized."""
    if not (settings.home / "dagster.yaml").exists():
        return
    from tg_pipeline.app.archive import open_archive
    from tg_pipeline.dagster_client.instance import open_instance, report_days

    store = open_archive(settings)
    # What the interrupted run changed is not known: those days are reported again.
    resumed = [replace(store.receipt(report.slug, day), changed=True) for day in report.resumed_days]
    try:
        with SafeConsole(stderr=True).status("Reporting the days to Dagster ..."), open_instance(settings) as instance:
            reported = report_days(instance, report.slug, [*resumed, *report.days])
    except Exception as error:  # noqa: BLE001 - whatever ails Dagster, the day files are in place
        echo(f"The files are in place, but the days could not be reported to Dagster: {error}", err=True)
        return
    if reported:
        echo(f"{count(reported, 'day')} reported to Dagster.")
