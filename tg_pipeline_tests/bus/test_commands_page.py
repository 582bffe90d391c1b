"""docs/commands.md: what it shows is what is read and sent, and its examples run."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tg_pipeline.bus.queue import BEGINNING_BYTES, DEAD_LETTERS_KEPT, CommandQueue
from tg_pipeline.bus.scripts import LOG_LENGTH
from tg_pipeline.contracts import commands, schemas
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import CommandError, parse_command, plan
from tg_pipeline.contracts.days import FIRST_DAY
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.contracts.schema_checks import check_events, is_command
from tg_pipeline_tests.processes import wait_until

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "commands.md").read_text()
PATIENCE_SECONDS = 30
RUN_ID = "8f6d3c1e-2f1b-4d52-9a35-3d5a0c1f2b44"
TODAY = date(2026, 3, 1)
START = date(2020, 1, 1)

Fields = dict[str, Any]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


SHOWN = [json.loads(block) for block in blocks("json")]
COMMANDS = [shown for shown in SHOWN if "command" in shown]
EVENTS = [shown for shown in SHOWN if "event" in shown]
PUSHED = re.findall(r"RPUSH tg_commands '(.*)'", PAGE)
PYTHON = blocks("python")
(NODE,) = blocks("js")


def kinds(events: list[Fields]) -> dict[tuple[str, str, bool], Fields]:
    """The first of each event and status, and of those by which a command gets another one's outcome."""
    return {(event["event"], event["status"], "duplicate_of" in event): event for event in reversed(events)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def queue(url: str) -> Iterator[CommandQueue]:
    found = CommandQueue(url)
    found._redis.flushall()
    yield found
    check_events([event for _, event in found.events()])
    found.close()


# --- the pipeline, played by hand ---


def judge(queue: CommandQueue, *, today: date, start: date) -> None:
    for taken in queue.take(100):
        try:
            command = parse_command(taken.raw, taken.size)
            planned = plan(command, today=today, start=start)
        except CommandError as error:
            given = json.loads(taken.raw)
            queue.reject(taken, error, about={"chat": given["chat"], "mode": given["mode"]})
            continue
        accepted = AcceptedCommand(
            id=command.command_id or f"made-up-{taken.seq}",
            slug="durov",
            chat=command.chat,
            mode=command.mode,
            params=command.params,
            first=planned.days.first,
            last=planned.days.last,
            clamped=planned.clamped,
        )
        queue.accept(taken, command, accepted)


def succeed(queue: CommandQueue, command: AcceptedCommand) -> None:
    assert queue.claim(command, "me")
    reported: Fields = {"run_id": RUN_ID}
    queue.start(command.event("started", "running", **reported))
    queue.progress(command.event("progress", "running", **reported, day=str(command.first)), {str(command.first): 3})
    ended = command.event("completed", "success", **reported, processed=7, days_done=len(command.days))
    assert queue.finish(ended, started=None)
    queue.release(command)


def fail(queue: CommandQueue, command: AcceptedCommand) -> None:
    assert queue.claim(command, "me")
    reported: Fields = {
        "error_type": "ChatPrivate",
        "message": "The account is not, or no longer, a member of the chat.",
    }
    ended = command.event("failed", "failed", run_id=RUN_ID, errors=1, days_done=0, **reported)
    queue.finish(ended, started=command.event("started", "running", run_id=RUN_ID))
    queue.release(command)


def cancel(queue: CommandQueue, command: AcceptedCommand) -> None:
    assert queue.claim(command, "me")
    reported: Fields = {"error_type": "Canceled", "message": kinds(EVENTS)["failed", "canceled", False]["message"]}
    queue.finish(command.event("failed", "canceled", **reported), started=command.event("started", "running"))
    queue.release(command)


@contextmanager
def pipeline(queue: CommandQueue, work: Callable[[CommandQueue, AcceptedCommand], None]) -> Iterator[None]:
    """Does with the first command that comes what it is told to."""

    def is_due() -> bool:
        judge(queue, today=datetime.now(UTC).date(), start=FIRST_DAY)
        return bool(queue.due())

    def run() -> None:
        if wait_until(is_due, PATIENCE_SECONDS):
            work(queue, queue.due()[0])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# --- what is shown ---


@pytest.mark.parametrize("raw", [*map(json.dumps, COMMANDS), *PUSHED])
def test_every_command_of_the_page_can_be_carried_out(raw: str) -> None:
    assert is_command(json.loads(raw))
    assert len(plan(parse_command(raw.encode()), today=TODAY, start=START).days) > 0


def test_the_page_shows_every_mode_strategy_and_field() -> None:
    assert {command["mode"] for command in COMMANDS} == {"date", "days", "range"}
    assert {command.get("strategy") for command in COMMANDS} == {"batch", "per_day", None}
    named = {name for command in COMMANDS for name in command}
    known = {name for schema in schemas.command_schema()["$defs"].values() for name in schema["properties"]}
    assert known - named == {"force", "priority"}
    assert all(f"`options.{name}`" in PAGE for name in known - named)


def test_every_event_of_the_page_is_as_the_schema_has_it() -> None:
    check_events(EVENTS + [event["outcome"] for event in EVENTS if "outcome" in event])


def test_the_page_shows_an_event_of_every_kind_as_it_is_published(queue: CommandQueue) -> None:
    def push(fields: Fields) -> None:
        queue.push(json.dumps(fields))
        judge(queue, today=TODAY, start=START)

    shown = kinds(EVENTS)
    rejected = shown["failed", "rejected", False]
    push(
        {
            "command": "fetch",
            **{name: rejected[name] for name in ("chat", "mode")},
            rejected["field"]: rejected["value"],
        }
    )
    for work, kind in (
        (succeed, ("completed", "success", False)),
        (fail, ("failed", "failed", False)),
        (cancel, ("failed", "canceled", False)),
    ):
        event = shown[kind]
        command = {"command": "fetch", "chat": event["chat"], "mode": event["mode"], **event["params"]}
        push(command | {"command_id": event["command_id"]})
        if work is succeed:
            push(command | {"options": shown["completed", "success", True]["params"]["options"]})
        work(queue, queue.due()[0])
        if work is succeed:
            push(command | {"command_id": event["command_id"]})
    sent = kinds([event for _, event in queue.events()])
    assert sent.keys() == shown.keys()
    for kind, event in sent.items():
        assert event.keys() == shown[kind].keys(), kind
        same = ("chat", "mode", "params", "days_total", "message", "error_type", "field", "value", "allowed", "errors")
        assert {name: event.get(name) for name in same} == {name: shown[kind].get(name) for name in same}, kind
    assert sent["progress", "duplicate", True]["outcome"].keys() == shown["completed", "success", False].keys()


def test_the_table_of_events_has_every_kind() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE))
    rows.remove(("event", "status"))
    assert rows == {(event, status) for event, status, _ in kinds(EVENTS)}
    allowed = schemas.event_schema()["properties"]
    assert {event for event, _ in rows} == set(allowed["event"]["enum"])
    assert {status for _, status in rows} == set(allowed["status"]["enum"])


def test_every_reason_to_refuse_is_named() -> None:
    sources = ["contracts/commands.py", "contracts/strict_json.py", "defs/commands.py"]
    text = "".join((PROJECT / "tg_pipeline" / source).read_text() for source in sources)
    named = set(re.findall(r'(?:CommandError|NotStrict)\(\s*"(\w+)"', text))
    named |= {name for name, _ in commands._REASONS.values()}
    assert named > {"NotJson", "MissingField", "RangeTooLong"}
    assert {name for name in named if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize(
    "number",
    [
        commands.MAX_COMMAND_BYTES,
        commands.MAX_DAYS,
        commands.KEY_LENGTH,
        Settings.model_fields["idempotency_ttl"].default,
        LOG_LENGTH,
        DEAD_LETTERS_KEPT,
        BEGINNING_BYTES,
    ],
)
def test_the_limits_are_those_of_the_code(number: int) -> None:
    assert re.search(rf"(?<![\d,]){number:,}(?!,?\d)", PAGE)


# --- the examples ---


def run(command: list[str], url: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=os.environ | {"REDIS_URL": url} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("example", PYTHON, ids=["channel", "stream"])
@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        (succeed, 0, [["started", "running", "0"], ["progress", "running", "3"], ["completed", "success", "7"]]),
        (fail, 1, [["started", "running", "0"], ["failed", "failed", "0"]]),
    ],
    ids=["success", "failure"],
)
def test_the_python_example_follows_its_command_to_the_end(
    queue: CommandQueue,
    url: str,
    example: str,
    work: Callable[[CommandQueue, AcceptedCommand], None],
    code: int,
    said: list[list[str]],
) -> None:
    queue.push('{"command": "fetch", "chat": "@of_somebody_else", "mode": "days", "days": 0}')
    with pipeline(queue, work):
        done = run([sys.executable, "-c", example], url)
    assert (done.returncode, done.stderr) == (code, "")
    assert [line.split()[:3] for line in done.stdout.splitlines()] == said


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node on PATH")
    return found


def test_the_node_example_is_javascript(node: str, tmp_path: Path) -> None:
    script = tmp_path / "example.mjs"
    script.write_text(NODE)
    done = run([node, "--check", str(script)], "")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_node_example_follows_its_command_to_the_end(
    node: str, queue: CommandQueue, url: str, tmp_path: Path
) -> None:
    """Where NODE_PATH has the package `redis`; modules look for packages beside them only, hence the link."""
    found = [folder for folder in os.environ.get("NODE_PATH", "").split(":") if Path(folder, "redis").is_dir()]
    if not found:
        pytest.skip("no package redis in NODE_PATH")
    (tmp_path / "node_modules").symlink_to(found[0])
    script = tmp_path / "example.mjs"
    script.write_text(NODE)
    with pipeline(queue, succeed):
        done = run([node, str(script)], url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["started", "running", "0"],
        ["progress", "running", "3"],
        ["completed", "success", "7"],
    ]
