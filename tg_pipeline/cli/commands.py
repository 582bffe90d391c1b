"""`tg-pipeline commands`: what was asked of the pipeline and has not ended, and what was refused."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from tg_pipeline.cli.options import echo, print_columns
from tg_pipeline.contracts.text import count, printable

if TYPE_CHECKING:
    from tg_pipeline.bus.queue import CommandQueue
    from tg_pipeline.contracts.accepted import AcceptedCommand

SHOWN = 50
TEXT_SHOWN = 100
HEADS = ("where", "id", "chat", "days", "strategy", "priority")


@click.group()
def commands() -> None:
    """Look at the queue of commands, take one back, or push a refused one again.

    A command is `pushed` until the pipeline takes it, then `waiting` for its chat's turn, then `in flight`; refused
    ones are kept as dead letters, numbered.
    """


@commands.command(name="list")
@click.option("--all", "everything", is_flag=True, help=f"All of them; else {SHOWN} of each kind.")
def list_commands(*, everything: bool) -> None:
    """List the commands that have not ended, and the dead letters."""
    with _queue() as queue:
        counts, limit = queue.counts(), 10_000 if everything else SHOWN
        running = [flight.command for flight in queue.in_flight()]
        waiting, pushed, dead = queue.waiting(limit), queue.pushed(limit), queue.dead(limit)
    places = [f"{counts[place]:,} {place.replace('_', ' ')}" for place in ("pushed", "waiting", "in_flight")]
    echo(", ".join([*places, count(counts["dead"], "dead letter")]) + ".")
    if running or waiting:
        echo()
        rows = [*(_row("in flight", command) for command in running), *(_row("waiting", one) for one in waiting)]
        print_columns(HEADS, *rows)
    if pushed:
        echo("\nPushed, and taken by nobody yet:")
        for raw in pushed:
            echo(f"  {_short(raw.decode(errors='backslashreplace'))}")
    if dead:
        echo("\nDead letters, the newest first:")
        print_columns(("number", "at", "reason", "text"), *map(_dead_row, dead))
    hidden = sum(counts.values()) - len(running) - len(waiting) - len(pushed) - len(dead)
    if hidden > 0:
        echo(f"\n{hidden:,} more: tg-pipeline commands list --all")


@commands.command()
@click.argument("id_", metavar="ID|NUMBER")
def show(id_: str) -> None:
    """Show a command by its id, as long as it is remembered, or a dead letter by its number; as JSON."""
    with _queue() as queue:
        found = _letter(queue, id_) if id_.isdecimal() else _known(queue, id_)
    echo(json.dumps(found, indent=2, ensure_ascii=False))


@commands.command()
@click.argument("numbers", metavar="NUMBER...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead letters, the oldest first.")
def retry(numbers: Sequence[str], *, everything: bool) -> None:
    """Push dead letters again, as they were: the reason may be gone, such as a chat that was not registered."""
    if everything == bool(numbers):
        raise click.UsageError("Give numbers of dead letters, or --all.")
    with _queue() as queue:
        pushed = 0
        for letter in queue.dead()[::-1] if everything else [_letter(queue, number) for number in numbers]:
            if letter["size"] > len(letter["raw"].encode()):
                echo(f"{letter['seq']}: only its beginning was kept; it cannot be pushed again.", err=True)
            else:
                pushed += queue.retry_dead(letter)
    echo(f"{count(pushed, 'command')} pushed again.")


@commands.command()
@click.argument("ids", metavar="ID|NUMBER...", nargs=-1)
@click.option("--dead", is_flag=True, help="All dead letters.")
def drop(ids: Sequence[str], *, dead: bool) -> None:
    """Take back a command that waits (its last event is `failed`, canceled), or forget dead letters."""
    if dead == bool(ids):
        raise click.UsageError("Give ids of commands that wait or numbers of dead letters, or --dead for all of these.")
    with _queue() as queue:
        letters = queue.dead() if dead else [_letter(queue, one) for one in ids if one.isdecimal()]
        waiting = [_waiting(queue, one) for one in ids if not one.isdecimal()]
        forgotten, back = sum(map(queue.drop_dead, letters)), sum(map(queue.drop, waiting))
    echo(f"{count(back, 'command')} taken back, {count(forgotten, 'dead letter')} forgotten.")


@contextmanager
def _queue() -> "Iterator[CommandQueue]":
    from tg_pipeline.app.commands import command_queue
    from tg_pipeline.settings import load_settings

    with closing(command_queue(load_settings())) as queue:
        yield queue


def _row(where: str, command: "AcceptedCommand") -> Sequence[str]:
    days = f"{command.first}..{command.last}"
    return (where, command.id, command.slug, days, command.strategy, str(command.priority))


def _dead_row(letter: dict[str, Any]) -> Sequence[str]:
    moment = letter["at"][:19].replace("T", " ")
    return (letter["seq"], moment, f"{letter['error_type']}: {_short(letter['reason'])}", _short(letter["raw"]))


def _short(text: str) -> str:
    """On one line, cut short."""
    return printable(text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}...")


def _letter(queue: "CommandQueue", number: str) -> dict[str, Any]:
    for letter in queue.dead():
        if letter["seq"] == number:
            return letter
    raise click.UsageError(f"There is no dead letter {number}. To see which there are: tg-pipeline commands list")


def _known(queue: "CommandQueue", id_: str) -> dict[str, Any]:
    from tg_pipeline.dagster_client.webserver import webserver_url
    from tg_pipeline.settings import load_settings

    found = queue.show(id_.lower())
    if found is None:
        raise click.UsageError(
            f"Nothing is known of a command {id_}. Ended ones are forgotten after IDEMPOTENCY_TTL, their events later."
        )
    url = webserver_url(load_settings().home)
    facts = found.get("started", {}) | found.get("ended", {})
    if facts.get("backfill_id"):
        found["dagster"] = f"{url}/runs/b/{facts['backfill_id']}"
    elif facts.get("run_id"):
        found["dagster"] = f"{url}/runs/{facts['run_id']}"
    return found


def _waiting(queue: "CommandQueue", id_: str) -> "AcceptedCommand":
    for command in queue.waiting():
        if command.id == id_.lower():
            return command
    known = _known(queue, id_)
    if "ended" in known:
        raise click.UsageError(f"The command {id_} has ended: there is nothing to take back.")
    where = known.get("dagster", "on Dagster's Runs or Backfills page")
    raise click.UsageError(f"The command {id_} runs. Cancel its run or backfill instead: {where}")
