"""The demo from curtain to curtain."""

import asyncio
import json
import signal
import sys
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.chats import register
from tg_pipeline.app.commands import command_queue
from tg_pipeline.cli.options import echo, print_columns, today_utc
from tg_pipeline.cli.running import Terminated, interruptible
from tg_pipeline.cli.showcase.compare import differences, last_days, world_messages
from tg_pipeline.cli.showcase.stage import DemoError, Stage, dagster, own_directory, running
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.text import count
from tg_pipeline.dagster_client.backfills import BackfillState, launch_backfill, wait_backfill
from tg_pipeline.observability.console import SafeConsole

DAYS = 7
COMMAND_SECONDS = 120.0
LOOK_EVERY_SECONDS = 2.0
SAY_EVERY_SECONDS = 10.0
"""How often a line says how far the backfill is where no terminal shows bars."""


def show(*, once: bool, exports: Path | None, seed: int, timezone: ZoneInfo | None) -> None:
    """Run the demo. Raises InputError for a directory without exports, and DemoError."""
    console = SafeConsole()
    interruptible()
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _terminate))
        directory = stack.enter_context(own_directory())
        console.print("Starting a local Telegram and a Redis ...")
        stage = stack.enter_context(running(directory, _world(exports, seed, timezone)))
        chats = _register(stage, console)
        ranges = {chat.slug: _range(stage, chat, whole=exports is not None) for chat in chats}
        console.print("Starting Dagster's webserver and daemon ...")
        stack.enter_context(dagster(stage))
        console.print(f"Dagster: [link]{stage.url}[/link]")
        _backfill(stage, ranges, console)
        _command(stage, *next(iter(ranges.items())), console)
        console.print("Comparing every file with what the simulator holds ...")
        wrong = _compare(stage, chats, ranges)
        _summary(stage, ranges)
        if wrong:
            raise DemoError("\n".join(["The files differ from what the simulator holds:", *wrong]))
        console.print("Every file was compared with what the simulator holds: all equal.")
        if not once:
            _invite(stage, *next(iter(ranges.items())))
            try:
                while True:
                    stage.start_again_what_ended()
                    time.sleep(LOOK_EVERY_SECONDS)
            finally:
                console.print("Stopping ...")


def _world(exports: Path | None, seed: int, timezone: ZoneInfo | None) -> list[str]:
    """The flags of `simulate` that say what it serves."""
    zone = ["--timezone", timezone.key] if timezone else []
    return ["--seed", str(seed), *zone, *(flag for path in _exports(exports) for flag in ("--export", str(path)))]


def _exports(directory: Path | None) -> list[Path]:
    if directory is None:
        return []
    if (directory / "result.json").is_file():
        return [directory.resolve()]
    found = sorted(path.parent.resolve() for path in directory.glob("*/result.json"))
    if not found:
        raise InputError(
            f"exports: {directory} holds no Telegram Desktop export (no result.json in it or below it).",
            field="exports",
        )
    return found


def _register(stage: Stage, console: SafeConsole) -> list[RegisteredChat]:
    usernames = [chat["username"] for chat in stage.simulator["chats"] if chat["username"]]
    console.print(f"Registering {count(len(usernames), 'chat')} in {stage.keys['CHATS_FILE']} ...")

    async def all_of_them() -> list[RegisteredChat]:
        return [(await register(stage.settings, f"@{username}", None))[0] for username in usernames]

    return asyncio.run(all_of_them())


def _range(stage: Stage, chat: RegisteredChat, *, whole: bool) -> DayRange:
    """The last week; of an export, which lies in the past, everything."""
    if not whole:
        return last_days(today_utc(), DAYS)
    messages = world_messages(stage.control, chat.username or chat.chat)
    if not messages:
        return last_days(today_utc(), DAYS)
    days = [date.fromisoformat(message[1][:10]) for message in messages]
    return DayRange(min(days), max(days))


def _backfill(stage: Stage, ranges: dict[str, DayRange], console: SafeConsole) -> None:
    """One backfill on Dagster's Backfills page; the bars follow what Dagster has materialized."""
    backfill = launch_backfill(stage.url, ranges, title="demo")
    console.print(f"Backfill launched: {stage.url}/runs/b/{backfill}")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("days"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        bars = {slug: bar.add_task(slug, total=len(days)) for slug, days in ranges.items()}

        said = time.monotonic()

        def on_state(state: BackfillState) -> None:
            nonlocal said
            stage.start_again_what_ended()
            for slug, done in state.days_done.items():
                bar.update(bars[slug], completed=done)
            if not console.is_terminal and time.monotonic() - said >= SAY_EVERY_SECONDS:
                said = time.monotonic()
                console.print(f"{sum(state.days_done.values()):,} of {count(state.days_total, 'day')} done.")

        state = wait_backfill(stage.url, backfill, ranges, on_state=on_state)
    if not state.succeeded:
        runs = " ".join(f"{stage.url}/runs/{run}" for run in state.failed_runs)
        raise DemoError(f"The backfill failed. {state.error or ''} {runs} Logs: {stage.directory / 'logs'}")


def _command(stage: Stage, slug: str, days: DayRange, console: SafeConsole) -> None:
    """A command as another service would push it, for a day that is there already, and the events that come of it."""
    queue = command_queue(stage.settings)
    since = queue.last_entry()
    command = {"command": "fetch", "chat": slug, "mode": "date", "date": str(days.last), "options": {"force": True}}
    command["command_id"] = str(uuid4())
    queue.push(json.dumps(command))
    console.print(f"Pushed onto the Redis list tg_commands: {json.dumps(command)}", soft_wrap=True)
    deadline = time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < deadline:
        for entry, event in queue.events(since, block_seconds=0.5):
            since = entry
            if event["command_id"] == command["command_id"]:
                console.print(f"  {event['ts'][11:19]} {event['event']}: {count(event['processed'], 'message')}")
                if event["event"] == "completed":
                    queue.close()
                    return
                if event["event"] == "failed":
                    raise DemoError(f"The command failed: {event.get('message')} Logs: {stage.directory / 'logs'}")
    raise DemoError(f"The command did not end in {COMMAND_SECONDS:.0f} s. Logs: {stage.directory / 'logs'}")


def _compare(stage: Stage, chats: list[RegisteredChat], ranges: dict[str, DayRange]) -> list[str]:
    store = open_archive(stage.settings)
    control = stage.control
    return [
        difference
        for chat in chats
        for difference in differences(store, control, chat.username or chat.chat, chat.slug, ranges[chat.slug])
    ]


def _summary(stage: Stage, ranges: dict[str, DayRange]) -> None:
    store = open_archive(stage.settings)
    rows = [("chat", "days", "messages", "last file")]
    for slug, days in ranges.items():
        headers = [header for day in days if (header := store.header(slug, day))]
        messages = sum(header.message_count for header in headers)
        path = str(Path(store.where(slug, days.last)).relative_to(store.where()))
        rows.append((slug, str(len(headers)), f"{messages:,}", path))
    print_columns(*rows)


def _invite(stage: Stage, slug: str, days: DayRange) -> None:
    env_file = stage.write_env_file()
    echo(
        f"""
Day files    {stage.keys["DATA_URI"]}
Dagster      {stage.url}/asset-groups
Logs         {stage.directory / "logs"}

Try, in another terminal, the command line on this demo:
  set -a; . {env_file}; set +a
  {Path(sys.executable).parent}/tg-pipeline fetch {slug} --from {days.first} --to {days.last}
  {Path(sys.executable).parent}/tg-pipeline verify
  {Path(sys.executable).parent}/tg-pipeline send {slug} --days 3 --wait

Ctrl-C stops everything."""
    )


def _terminate(*_: object) -> None:
    raise Terminated
