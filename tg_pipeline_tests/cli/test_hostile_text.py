"""Titles, ids and names that other people choose: a terminal obeys nothing of them, whichever verb prints them."""

import json
from collections.abc import Iterator

import pytest

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.events import Event, timestamp
from tg_pipeline.contracts.text import printable
from tg_pipeline.simulator import Simulator
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.hostile import HOSTILE, unprintable
from tg_pipeline_tests.telegram_account import plain_world


@pytest.fixture
def titled(terminal: Terminal) -> Iterator[Terminal]:
    """Logged in where the one chat and the account have hostile names."""
    world = plain_world()
    for chat in world.chats.values():
        chat.entity.title = HOSTILE
    with Simulator(world) as simulator:
        terminal.log_in(simulator)
        yield terminal


def test_a_title_is_printed_by_no_verb_as_it_is(titled: Terminal) -> None:
    for said in (
        titled.ok("chats", "add", "@busy"),
        titled.ok("chats", "list"),
        titled.ok("chats", "show", "busy"),
    ):
        assert printable(HOSTILE) in said
        assert unprintable(said) == set()


@pytest.fixture
def queue(terminal: Terminal) -> Iterator[CommandQueue]:
    with local_redis(terminal.home / "redis") as url:
        terminal.set("REDIS_URL", url)
        found = CommandQueue(url, ttl_seconds=60)
        yield found
        found.close()


def test_what_a_client_pushes_is_printed_by_no_verb_as_it_is(terminal: Terminal, queue: CommandQueue) -> None:
    fields = dict.fromkeys(("command_id", "chat", "mode", "slug", "error_type", "message", "value"), HOSTILE)
    event = Event.model_validate({"event": "failed", "status": "failed", "ts": timestamp(), **fields})
    assert queue.finish(event, started=None)
    queue.push(HOSTILE)
    for verb in (["events"], ["events", "--json"], ["commands", "list"], ["commands", "show", HOSTILE]):
        done = terminal.run(*verb)
        assert unprintable(done.out + done.err) == set(), verb
    (line,) = terminal.ok("events", "--json").splitlines()
    assert json.loads(line)["command_id"] == HOSTILE
    assert printable(HOSTILE) in terminal.ok("events")


def test_an_error_quotes_it_in_escapes(tg: Terminal) -> None:
    for verb in (["chats", "show", HOSTILE], ["fetch", HOSTILE, "--from", "2024-01-01"], [HOSTILE], ["up", HOSTILE]):
        assert unprintable(tg.refused(*verb)) == set(), verb
