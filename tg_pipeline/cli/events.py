"""`tg-pipeline events`: what happened, and what happens."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from tg_pipeline.cli.options import echo
from tg_pipeline.contracts.text import count, printable

if TYPE_CHECKING:
    from tg_pipeline.bus.queue import CommandQueue

EventFields = dict[str, Any]
"""An event as it was published: the fields of `contracts.events.Event`."""

IDLE_SECONDS = 0.5


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--last", type=click.IntRange(0, 10_000), default=20, show_default=True, help="How many past events.")
@click.option("--chat", help="Only those of this slug, or of the chat that commands name so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as it was published.")
def events(*, follow: bool, last: int, chat: str | None, as_json: bool) -> None:
    """Show the events of commands and runs: what other services read on the Redis channel tg_events.

    They are kept in the Redis stream tg_events:log, the newest 100,000 or so.
    """
    from tg_pipeline.app.commands import command_queue
    from tg_pipeline.settings import load_settings

    def show(event: EventFields) -> None:
        if chat is None or chat in (event.get("slug"), event["chat"]):
            echo(json.dumps(event, ensure_ascii=False) if as_json else event_line(event))

    with closing(command_queue(load_settings())) as queue:
        since = queue.last_entry()
        for past in queue.last_events(last):
            show(past)
        for event in following(queue, since) if follow else ():
            if event is not None:
                show(event)


def following(queue: "CommandQueue", since: str) -> Iterator[EventFields | None]:
    """Events after the entry `since` of the log, for ever; None whenever there was none for half a second.

    Where Redis goes away that is said once; what happened meanwhile follows when it is back.
    """
    from tg_pipeline.contracts.errors import StateUnavailable

    away = False
    while True:
        try:
            found = queue.events(since, block_seconds=IDLE_SECONDS)
        except StateUnavailable as error:
            if not away:
                echo(f"{error} Waiting for it ...", err=True)
            away, found = True, []
            time.sleep(IDLE_SECONDS)
        else:
            away = False
        for entry, event in found:
            since = entry
            yield event
        if not found:
            yield None


def event_line(event: EventFields) -> str:
    """An event for people, on one line."""
    happened = event["event"] if event["status"] in {"running", "success", event["event"]} else event["status"]
    parts = [event["ts"][:19].replace("T", " "), f"{happened:9}", event.get("slug") or event["chat"] or "?"]
    if event["event"] != "started" and event["status"] != "rejected":
        days = f"{event['days_done']:,} of " if event.get("days_done") is not None else ""
        of = f"{days}{count(event['days_total'], 'day')}, " if event.get("days_total") else ""
        parts.append(f"{of}{count(event['processed'], 'message')}")
    elif event.get("days_total"):
        parts.append(count(event["days_total"], "day"))
    if event["event"] in {"completed", "failed"} and event["duration_sec"]:
        parts.append(f"{event['duration_sec']:,.1f} s")
    if event.get("error_type"):
        parts.append(event["error_type"])
    if event.get("message"):
        parts.append(event["message"])
    return printable("  ".join([*parts, event["command_id"]]))
