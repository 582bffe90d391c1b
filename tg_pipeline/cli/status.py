"""`tg-pipeline status`: how the pipeline is."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Group
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tg_pipeline.cli.options import WIDTH_OF_A_FILE, echo
from tg_pipeline.contracts.text import count, printable
from tg_pipeline.observability.console import SafeConsole

if TYPE_CHECKING:
    from tg_pipeline.contracts.health import Chats, Health, Place, Queue, Scheduler, Sessions

EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 15.0
"""For one look: Dagster's history is opened first, which may take a while."""
CHATS_SHOWN = 20
COLOURS = {
    "ok": "green",
    "degraded": "yellow",
    "stale": "yellow",
    "away": "yellow",
    "starting": "yellow",
    "unknown": "yellow",
    "none": "yellow",
    "half_open": "yellow",
    "open": "red",
    "down": "red",
    "absent": "dim",
}


@click.command()
@click.option("--watch", is_flag=True, help=f"Look again every {EVERY_SECONDS:g} s, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="What /health/details of the service says, on one line.")
def status(*, watch: bool, as_json: bool) -> None:
    """Show how the pipeline is: scheduler, Redis, sessions, waits, queue, storage, chats.

    Telegram is not called. Exits 0 when all is well, 1 when something is degraded or down.
    """
    from tg_pipeline.dagster_client.heartbeats import DagsterHeartbeats
    from tg_pipeline.monitoring.health import LIMIT_SECONDS, HealthCheck
    from tg_pipeline.settings import load_settings

    settings = load_settings()
    limit = LIMIT_SECONDS if watch else PATIENCE_SECONDS
    with closing(DagsterHeartbeats(settings)) as heartbeats:
        check = HealthCheck(settings, heartbeats, limit_seconds=limit)
        with closing(check):
            if watch:
                _watch(check.look, as_json=as_json)
            health = check.look()
    if as_json:
        echo(health.model_dump_json())
    else:
        _console().print(page(health))
    if health.status != "ok":
        raise SystemExit(1)


def _watch(look: "Callable[[], Health]", *, as_json: bool) -> NoReturn:
    """For ever: in place at a terminal, else one after the other."""
    console = _console()
    with Live(console=console, auto_refresh=False) if console.is_terminal and not as_json else nullcontext() as live:
        while True:
            health = look()
            if as_json:
                echo(health.model_dump_json())
            elif live is None:
                console.print(page(health))
            else:
                live.update(page(health), refresh=True)
            time.sleep(EVERY_SECONDS)


def _console() -> SafeConsole:
    return SafeConsole(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


def page(health: "Health") -> Group:
    """For people."""
    table = Table("part", "status", "", show_edge=False, pad_edge=False, header_style="bold")
    for name, state, text in _rows(health):
        table.add_row(name, Text(state, COLOURS.get(state, "")), Text(printable(text)))
    summary = Text.assemble((health.status, f"bold {COLOURS[health.status]}"), f"  {health.ts[:19]}Z")
    return Group(summary, *(Text(f"  {reason}") for reason in health.reasons), Text(), table)


def _rows(health: "Health") -> Iterator[tuple[str, str, str]]:
    """Part, status, what it says: of a part without values, why it has none."""
    from tg_pipeline.contracts.health import Absent, Unread

    texts: dict[str, Callable[[Any], str]] = {
        "scheduler": _scheduler,
        "redis": lambda redis: redis.reason or f"{redis.latency_ms:.1f} ms",
        "state_store": lambda store: store.reason or f"{store.driver}{', but the home serves' * store.degraded}",
        "sessions": _sessions,
        "queue": _queue,
        "storage": _place,
        "home": _place,
        "chats": _chats,
    }
    for name, text_of in texts.items():
        part = getattr(health, name)
        yield name.replace("_", " "), part.status, part.reason if isinstance(part, Absent | Unread) else text_of(part)
    yield from _paced(health)
    for name, absent in health.reserved.items():
        yield name.replace("_", " "), absent.status, absent.reason
    versions = health.versions
    programs = (("tg-pipeline", versions.tg_pipeline), ("Dagster", versions.dagster), ("Telethon", versions.telethon))
    yield "versions", "", ", ".join(f"{name} {number}" for name, number in (*programs, ("Python", versions.python)))


def _paced(health: "Health") -> Iterator[tuple[str, str, str]]:
    from tg_pipeline.contracts.health import Unread

    if isinstance(health.breakers, Unread) or isinstance(health.flood_waits, Unread):
        yield "breakers", "unknown", getattr(health.breakers, "reason", "")
        return
    for breaker in health.breakers:
        left = f"a call may try in {duration(breaker.seconds_left)}" if breaker.seconds_left is not None else ""
        since = f"since {breaker.since_ts[:19]}Z" if breaker.since_ts else ""
        yield f"breaker of {breaker.component}", breaker.state, ", ".join(filter(None, (since, left)))
    for wait in health.flood_waits:
        left = f"{duration(wait.seconds_left)} left, until {wait.until_ts[:19]}Z"
        yield "flood wait", wait.reason, f"{wait.method} of {wait.account}: {left}"


def _scheduler(part: "Scheduler") -> str:
    if part.age_sec is None:
        return f"no tick of {part.last_tick_of}"
    if part.status == "starting":
        return f"no tick of {part.last_tick_of} since the start {duration(part.age_sec)} ago"
    tick = f"last tick {duration(part.age_sec)} ago ({part.last_tick_of})"
    return f"{tick}, every {part.interval_sec:g} s, by {part.lock_owner}"


def _sessions(part: "Sessions") -> str:
    used = {"free": "free", "leased": "in use", "dead": "refused by Telegram: log in again"}
    one_by_one = (
        f"{one.name} {used[one.status]}{f' by process {one.leased_by}' if one.leased_by else ''}"
        for one in part.sessions
    )
    return part.reason or ", ".join(one_by_one)


def _queue(part: "Queue") -> str:
    counts = (
        f"{part.pushed:,} pushed, {part.waiting:,} waiting, {part.in_flight:,} in flight, "
        f"{count(part.dead, 'dead letter')}"
    )
    return counts if part.oldest_age_sec is None else f"{counts}; the oldest since {duration(part.oldest_age_sec)}"


def _place(part: "Place") -> str:
    free = "" if part.free_bytes is None else f", {decimal(part.free_bytes)} free"
    return part.reason or f"{part.location}{free}"


def _chats(part: "Chats") -> str:
    """Those first that were not read for the longest time."""
    by_lag = sorted(part.lag_sec.items(), key=lambda item: -item[1])
    shown = [f"{slug} {duration(lag)} ago" for slug, lag in by_lag[:CHATS_SHOWN]]
    more = [f"and {len(by_lag) - CHATS_SHOWN:,} more"] if len(by_lag) > CHATS_SHOWN else []
    read = f"; read up to: {', '.join([*shown, *more])}" if shown else ""
    disabled = f"; disabled: {', '.join(part.disabled)}" if part.disabled else ""
    return f"{count(part.count, 'chat')}{disabled}{read}"


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `5 h`, `2 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
