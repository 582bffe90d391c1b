"""Sending commands, looking at the queue, following the events: on a real Redis, the pipeline played by hand."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import CommandError, parse_command, plan
from tg_pipeline.contracts.days import FIRST_DAY
from tg_pipeline.contracts.errors import SettingsError, StateUnavailable
from tg_pipeline.contracts.events import timestamp
from tg_pipeline.contracts.text import printable
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.live_simulator import PROGRAM
from tg_pipeline_tests.processes import wait_until


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def queue(url: str, terminal: Terminal) -> Iterator[CommandQueue]:
    """On an empty Redis that the terminal's settings name."""
    terminal.set("REDIS_URL", url)
    found = CommandQueue(url, ttl_seconds=60)
    found._redis.flushall()
    yield found
    found.close()


def take(queue: CommandQueue) -> list[AcceptedCommand]:
    """Judge what was pushed, as the sensor does."""
    for taken in queue.take(100):
        try:
            command = parse_command(taken.raw, taken.size)
        except CommandError as error:
            queue.reject(taken, error, about={})
            continue
        days = plan(command, today=datetime.now(UTC).date(), start=FIRST_DAY).days
        accepted = AcceptedCommand(
            id=command.command_id or f"id-{taken.seq}",
            slug=command.chat.lstrip("@"),
            chat=command.chat,
            mode=command.mode,
            params=command.params,
            first=days.first,
            last=days.last,
            priority=command.options.priority,
        )
        queue.accept(taken, command, accepted)
    return queue.due()


def start(queue: CommandQueue, command: AcceptedCommand, **more: Any) -> None:
    assert queue.claim(command, "me")
    assert queue.start(command.event("started", "running", run_id="r1", **more))


def end(queue: CommandQueue, command: AcceptedCommand, event: Any = "completed", **more: Any) -> None:
    ended = command.event(event, "success" if event == "completed" else "failed", processed=7, **more)
    assert queue.finish(ended, started=None)
    queue.release(command)


@contextmanager
def pipeline(queue: CommandQueue, work: Callable[[AcceptedCommand], None], *, after: float = 0) -> Iterator[None]:
    """A thread that takes the first command and does with it what it is told to."""

    def run() -> None:
        time.sleep(after)
        assert wait_until(lambda: bool(take(queue)), 20)
        work(queue.due()[0])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize(
    ("given", "pushed"),
    [
        (["--days", "7"], {"mode": "days", "days": 7}),
        (["--date", "2024-01-02"], {"mode": "date", "date": "2024-01-02"}),
        (["--from", "2024-01-02", "--to", "2024-01-03"], {"mode": "range", "from": "2024-01-02", "to": "2024-01-03"}),
        (["--days", "1", "--strategy", "per_day"], {"mode": "days", "days": 1, "strategy": "per_day"}),
    ],
)
def test_it_pushes_what_any_client_would(
    terminal: Terminal, queue: CommandQueue, given: list[str], pushed: dict[str, Any]
) -> None:
    id_ = terminal.ok("send", "@busy", *given, "--force", "--priority", "3", "--key", "k").strip()
    (raw,) = queue.pushed()
    assert json.loads(raw) == pushed | {
        "command": "fetch",
        "chat": "@busy",
        "options": {"force": True, "priority": 3},
        "command_id": id_,
        "idempotency_key": "k",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["@busy"], "--date DAY"),
        (["@busy", "--days", "3", "--date", "today"], "--date DAY"),
        (["@busy", "--days", "3", "--to", "today"], "--date DAY"),
        (["@busy", "--days", "0"], "days: "),
        (["@busy", "--days", "9999"], "1 to 3660"),
        (["@busy", "--date", "2999-01-01"], "date: "),
        (["@busy", "--from", "2024-01-02", "--to", "2024-01-01"], "from: "),
        (["@bu sy", "--days", "1"], "chat: "),
        (["@busy", "--days", "1", "--priority", "10"], "0 to 9"),
    ],
)
def test_what_would_be_rejected_is_not_pushed(
    terminal: Terminal, queue: CommandQueue, given: list[str], said: str
) -> None:
    assert said in terminal.refused("send", *given)
    assert queue.counts()["pushed"] == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nosuch", "--days", "1"], "chat: "),
        (["old", "--days", "1"], "start"),
        (["busy", "--date", "2024-01-01"], "from 2024-03-01 on"),
    ],
)
def test_where_the_registry_is_what_it_rejects_is_not_pushed(
    terminal: Terminal, queue: CommandQueue, given: list[str], said: str
) -> None:
    terminal.chats_file.write_text(
        "chats:\n- {slug: busy, chat: '@busy', start: 2024-03-01}\n- {slug: old, chat: '@old_chat', start: soon}\n"
    )
    assert said in terminal.refused("send", *given)
    assert queue.counts()["pushed"] == 0
    terminal.ok("send", "busy", "--date", "2024-03-01")


def test_where_chats_are_registered_by_commands_a_new_one_is_pushed(terminal: Terminal, queue: CommandQueue) -> None:
    terminal.chats_file.write_text("chats: []\n")
    terminal.set("COMMANDS_UNREGISTERED_CHATS", "register")
    terminal.ok("send", "@busy", "--days", "1")
    assert queue.counts()["pushed"] == 1


@pytest.mark.parametrize("verb", [["send", "@busy", "--days", "1"], ["events"], ["commands", "list"]])
def test_without_a_redis_it_says_what_to_set(terminal: Terminal, verb: list[str]) -> None:
    assert terminal.fails(SettingsError, *verb).field == "REDIS_URL"


@pytest.mark.parametrize("verb", [["send", "@busy", "--days", "1"], ["events", "-f"], ["commands", "list"]])
def test_a_redis_that_is_away_is_a_sentence(terminal: Terminal, verb: list[str]) -> None:
    terminal.set("REDIS_URL", "redis://127.0.0.1:9/0")
    error = str(terminal.fails(StateUnavailable, *verb, code=1))
    assert "127.0.0.1:9 " in error
    assert "(Connection refused)" in error


def test_waiting_it_shows_the_command_to_its_end(terminal: Terminal, queue: CommandQueue) -> None:
    def work(command: AcceptedCommand) -> None:
        start(queue, command, ts=timestamp(1_000.0))
        queue.progress(command.event("progress", "running"), {"2024-01-01": 4})
        end(queue, command, ts=timestamp(1_012.34), days_done=2)

    with pipeline(queue, work):
        done = terminal.run("send", "@busy", "--days", "2", "--wait")
    assert done.code == 0, done
    assert [re.split("  +", line)[1:4] for line in done.err.splitlines()] == [
        ["started", "busy", "2 days"],
        ["progress", "busy", "1 of 2 days, 4 messages"],
        ["completed", "busy", "2 of 2 days, 7 messages"],
    ]
    assert "  12.3 s  " in done.err


def test_waiting_for_one_that_fails_ends_with_1(terminal: Terminal, queue: CommandQueue) -> None:
    def work(command: AcceptedCommand) -> None:
        start(queue, command)
        end(queue, command, "failed", error_type="AccountError", message="The login is dead.")

    with pipeline(queue, work):
        done = terminal.run("send", "@busy", "--days", "2", "--wait")
    assert done.code == 1
    assert "failed     busy  2 days, 7 messages  " in done.err
    assert "  AccountError  The login is dead.  " in done.err


def test_waiting_where_nobody_reads_it_says_so(
    terminal: Terminal, queue: CommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tg_pipeline.cli.send.NOBODY_READS_SECONDS", 0.1)

    def work(command: AcceptedCommand) -> None:
        start(queue, command)
        end(queue, command)

    with pipeline(queue, work, after=1.5):
        done = terminal.run("send", "@busy", "--days", "2", "--wait")
    assert done.code == 0
    assert "Does tg-pipeline up run with this REDIS_URL" in done.err


def test_interrupted_it_says_that_the_command_goes_on(terminal: Terminal, queue: CommandQueue) -> None:
    command = [str(PROGRAM), "send", "@busy", "--days", "1", "--wait"]
    with subprocess.Popen(
        command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sending:
        assert sending.stdout is not None
        out = sending.stdout.readline()
        assert wait_until(lambda: queue._redis.info("clients")["blocked_clients"] == 1), "it does not wait for events"
        sending.send_signal(signal.SIGINT)
        _, err = sending.communicate()
    assert sending.returncode == 130, err
    assert err.strip() == f"The command goes on. To look at it: tg-pipeline commands show {out.strip()}"
    assert queue.counts()["pushed"] == 1


def test_the_list_shows_every_place_a_command_can_be_in(terminal: Terminal, queue: CommandQueue) -> None:
    ids = [terminal.ok("send", "@busy", "--date", f"2024-01-0{day}").strip() for day in (1, 2)]
    queue.push("\x1b[31mnonsense\n")
    start(queue, take(queue)[0])
    queue.push("not read yet")
    said = terminal.ok("commands", "list")
    assert said.startswith("1 pushed, 1 waiting, 1 in flight, 1 dead letter.\n")
    assert f"in flight  {ids[0]}  busy  2024-01-01..2024-01-01  batch     0\n" in said
    assert f"waiting    {ids[1]}  busy  2024-01-02..2024-01-02  batch     0\n" in said
    assert "  not read yet\n" in said
    assert "NotJson" in said
    assert printable("\x1b[31mnonsense\n") in said, "a terminal obeys none of it"


def test_a_long_list_is_cut_and_says_so(
    terminal: Terminal, queue: CommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tg_pipeline.cli.commands.SHOWN", 2)
    for number in range(5):
        queue.push(f"text {number}")
    said = terminal.ok("commands", "list")
    assert "text 1" in said
    assert "text 2" not in said
    assert said.endswith("3 more: tg-pipeline commands list --all\n")
    assert "text 4" in terminal.ok("commands", "list", "--all")


def test_a_command_is_shown_with_its_events_and_its_run(terminal: Terminal, queue: CommandQueue) -> None:
    id_ = terminal.ok("send", "@busy", "--days", "2").strip()
    (command,) = take(queue)
    start(queue, command)
    shown = json.loads(terminal.ok("commands", "show", id_.upper()))
    assert shown["record"]["state"] == "in_flight"
    assert shown["started"]["run_id"] == "r1"
    assert shown["dagster"].endswith("/runs/r1")
    assert "ended" not in shown
    end(queue, command)
    assert json.loads(terminal.ok("commands", "show", id_))["ended"]["processed"] == 7
    assert "Nothing is known of a command x" in terminal.refused("commands", "show", "x")


def test_a_dead_letter_is_shown_pushed_again_and_forgotten(terminal: Terminal, queue: CommandQueue) -> None:
    for text in ("one", "two", "three"):
        queue.push(text)
    take(queue)
    assert json.loads(terminal.ok("commands", "show", "2"))["raw"] == "two"
    assert terminal.ok("commands", "retry", "2") == "1 command pushed again.\n"
    assert queue.pushed() == [b"two"]
    assert "There is no dead letter 2." in terminal.refused("commands", "retry", "2")
    assert terminal.ok("commands", "drop", "1") == "0 commands taken back, 1 dead letter forgotten.\n"
    assert [letter["raw"] for letter in queue.dead()] == ["three"]
    terminal.ok("commands", "retry", "--all")
    assert queue.pushed() == [b"two", b"three"]
    take(queue)
    assert "2 dead letters forgotten" in terminal.ok("commands", "drop", "--dead")
    assert queue.dead() == []


def test_a_dead_letter_of_which_only_the_beginning_is_kept_is_not_pushed_again(
    terminal: Terminal, queue: CommandQueue
) -> None:
    queue.push("x" * 100_000)
    take(queue)
    done = terminal.run("commands", "retry", "--all")
    assert (done.code, done.out) == (0, "0 commands pushed again.\n")
    assert done.err == "1: only its beginning was kept; it cannot be pushed again.\n"
    assert queue.counts() == {"pushed": 0, "waiting": 0, "in_flight": 0, "dead": 1}


def test_a_waiting_command_can_be_taken_back_and_a_running_one_cannot(terminal: Terminal, queue: CommandQueue) -> None:
    ids = [terminal.ok("send", "@busy", "--date", f"2024-01-0{day}").strip() for day in (1, 2)]
    (first, *_) = take(queue)
    start(queue, first)
    assert terminal.ok("commands", "drop", ids[1]) == "1 command taken back, 0 dead letters forgotten.\n"
    (_, last) = queue.last_events(2)
    assert (last["command_id"], last["event"], last["status"]) == (ids[1], "failed", "canceled")
    said = terminal.refused("commands", "drop", ids[0])
    assert "Cancel its run or backfill instead: " in said
    assert "/runs/r1" in said
    end(queue, first)
    assert "has ended" in terminal.refused("commands", "drop", ids[0])
    assert "Give ids" in terminal.refused("commands", "drop")


def test_past_events_are_shown_a_line_each(terminal: Terminal, queue: CommandQueue) -> None:
    for chat in ("@busy", "@other"):
        terminal.ok("send", chat, "--days", "2")
        for command in take(queue):
            start(queue, command)
            end(queue, command)
    said = terminal.ok("events").splitlines()
    assert [re.split("  +", line)[1:3] for line in said] == [
        ["started", "busy"],
        ["completed", "busy"],
        ["started", "other"],
        ["completed", "other"],
    ]
    assert len(terminal.ok("events", "--last", "1").splitlines()) == 1
    assert terminal.ok("events", "--last", "0") == ""
    only = [json.loads(line) for line in terminal.ok("events", "--chat", "other", "--json").splitlines()]
    assert [(event["event"], event["slug"]) for event in only] == [("started", "other"), ("completed", "other")]


def test_following_goes_on_where_redis_was_away(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("own")
    with local_redis(directory) as url:
        terminal.set("REDIS_URL", url)
        queue = CommandQueue(url)
        log = terminal.home / "events.log"
        with log.open("wb") as stream:
            command = [str(PROGRAM), "events", "--follow"]
            following = subprocess.Popen(command, env=os.environ, stdout=stream, stderr=stream)
        try:
            queue.push("nonsense")
            take(queue)
            assert wait_until(lambda: "rejected" in log.read_text(), 20), log.read_text()
            queue._redis.client_kill_filter(_type="normal", skipme=True)
            queue.push("more of it")
            take(queue)
            assert wait_until(lambda: log.read_text().count("rejected") == 2, 20), log.read_text()
        finally:
            following.send_signal(signal.SIGINT)
            assert following.wait(20) == 130
            queue.close()
