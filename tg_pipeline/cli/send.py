"""`tg-pipeline send`: a command for the pipeline that runs, as any other service would push it."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tg_pipeline.cli.events import EventFields, event_line, following
from tg_pipeline.cli.options import ChatCommand, Day, echo, today_utc
from tg_pipeline.contracts.commands import CommandError, Options, parse_command, plan
from tg_pipeline.observability.console import SafeConsole

if TYPE_CHECKING:
    from tg_pipeline.bus.queue import CommandQueue
    from tg_pipeline.settings import Settings

NOBODY_READS_SECONDS = 30.0


def command_options(verb: Callable[..., None]) -> Callable[..., None]:
    """A flag, or an option for a number, for each of a command's options."""
    for name, field in reversed(Options.model_fields.items()):
        about = (field.description or "").split(". ")[0].rstrip(".") + "."
        kind: dict[str, Any] = {"is_flag": True}
        if field.annotation is int:
            kind = {"type": int, "show_default": True}
        verb = click.option(f"--{name.replace('_', '-')}", default=field.default, help=about, **kind)(verb)
    return verb


@click.command(cls=ChatCommand)
@click.argument("chat")
@click.option("--days", "last_days", type=int, help="The last so many UTC days, today included.")
@click.option("--date", "day", type=Day(), help="One UTC day: YYYY-MM-DD, today or yesterday.")
@click.option("--from", "first", type=Day(), help="First UTC day of a range ...")
@click.option("--to", "last", type=Day(), help="... and its last, included; default: today.")
@click.option("--strategy", type=click.Choice(["batch", "per_day"]), help="Default: FETCH_STRATEGY.")
@command_options
@click.option("--key", help="Idempotency key: commands of one key are carried out once.")
@click.option("--wait", is_flag=True, help="Show its progress until it has ended. Exit code 1 where it failed.")
def send(chat: str, *, wait: bool, key: str | None, **given: Any) -> None:
    """Push a command to fetch CHAT's days onto the Redis list tg_commands and print its id.

    CHAT is named as for `fetch`. The pipeline that reads the list (tg-pipeline up) carries it out; docs/commands.md is
    for those who push commands from programs. What the pipeline would reject is not pushed; a chat can be judged only
    where the registry (CHATS_FILE) is.
    """
    from tg_pipeline.app.commands import command_queue
    from tg_pipeline.settings import load_settings

    options = {name: given.pop(name) for name in Options.model_fields}
    wanted = {"command": "fetch", "chat": chat, **_which_days(**given), "options": options, "command_id": str(uuid4())}
    text = json.dumps(wanted | ({"idempotency_key": key} if key is not None else {}))
    settings = load_settings()
    try:
        command = parse_command(text.encode())
        plan(command, today=today_utc(), start=_first_day(settings, command.chat))
    except CommandError as error:
        allowed = f" Allowed: {error.allowed}." if error.allowed else ""
        raise click.UsageError(f"{str(error).removesuffix('.')}.{allowed}") from None
    with closing(command_queue(settings)) as queue:
        since = queue.last_entry()
        queue.push(text)
        try:
            echo(wanted["command_id"])
            if wait:
                _wait(queue, wanted["command_id"], since)
        except KeyboardInterrupt:
            echo(f"The command goes on. To look at it: tg-pipeline commands show {wanted['command_id']}", err=True)
            raise


def _first_day(settings: "Settings", name: str) -> date:
    """The chat's first day. CommandError where the registry is here and the chat cannot be fetched."""
    from tg_pipeline.app.chats import registry
    from tg_pipeline.contracts.days import FIRST_DAY
    from tg_pipeline.contracts.registry import chat_of_command

    if not settings.chats_path.exists():
        return FIRST_DAY  # a client on another machine
    may_register = settings.commands_unregistered_chats == "register"
    return chat_of_command(registry(settings), name, may_register=may_register).start or settings.start_date


def _which_days(
    last_days: int | None, day: date | None, first: date | None, last: date | None, strategy: str | None
) -> dict[str, Any]:
    """The fields of the command that say so."""
    ways = [last_days is not None, day is not None, first is not None]
    if sum(ways) != 1 or (last is not None and first is None):
        raise click.UsageError(
            "Say which days in one way: --days N, --date DAY, or --from DAY with or without --to DAY."
        )
    fields: dict[str, Any] = {"strategy": strategy} if strategy else {}
    if last_days is not None:
        return fields | {"mode": "days", "days": last_days}
    if day is not None:
        return fields | {"mode": "date", "date": str(day)}
    return fields | {"mode": "range", "from": str(first), "to": str(last or today_utc())}


def _wait(queue: "CommandQueue", id_: str, since: str) -> None:
    """Until its last event. SystemExit with 1 where that is `failed`, 2 where it was rejected."""
    named = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), named, BarColumn(), MofNCompleteColumn(), TextColumn("days"))
    console = SafeConsole(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("waits", total=None)
        for event in _of_command(queue, id_, since):
            console.print(event_line(event), markup=False, highlight=False, soft_wrap=True)
            bar.update(task, description=event["event"])
            bar.update(task, completed=event.get("days_done") or 0, total=event.get("days_total"))
    if event["event"] == "failed":
        sys.exit(2 if event["status"] == "rejected" else 1)


def _of_command(queue: "CommandQueue", id_: str, since: str) -> Iterator[EventFields]:
    """Its events to the last one."""
    patience = time.monotonic() + NOBODY_READS_SECONDS
    for event in following(queue, since):
        if event is not None and event["command_id"] == id_:
            yield event
            if event["event"] in {"completed", "failed"}:
                return
        elif event is None and time.monotonic() > patience:
            patience = float("inf")
            if queue.counts()["pushed"]:
                echo(
                    f"Nobody has taken commands for {NOBODY_READS_SECONDS:.0f} s. Does tg-pipeline up run with this "
                    "REDIS_URL, and is the sensor `commands` on?",
                    err=True,
                )
