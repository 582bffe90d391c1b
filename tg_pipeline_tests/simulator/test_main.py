"""The simulator as a program: what it prints, how it ends, what it says of bad arguments."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from telethon import errors

from tg_pipeline.simulator import Simulator, SimulatorError, World
from tg_pipeline_tests.simulator.clients import connected, history

PROGRAM = [sys.executable, "-m", "tg_pipeline.cli.main", "simulate"]


@contextmanager
def program(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """The running program and the line it printed; killed at the end if it still runs."""
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def reach(ready: dict[str, Any]) -> Any:
    """The program as the test clients know a simulator."""
    return SimpleNamespace(**ready)


async def test_it_announces_itself_serves_and_ends_with_zero(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    with program("--seed", "3", "--journal", str(journal)) as (process, ready):
        assert {"host", "port", "control", "api_id", "api_hash", "session", "public_key", "chats"} <= set(ready)
        assert ready["public_key"] == str(Simulator.public_key)
        busy = next(chat for chat in ready["chats"] if chat["username"] == "demo_busy")
        async with connected(reach(ready)) as client:
            page = await client(history(await client.get_input_entity("demo_busy"), limit=1))
            assert page.count >= busy["messages"] > 1_000_000
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [entry["method"] for entry in entries[-2:]] == ["contacts.resolveUsername", "messages.getHistory"]
    assert entries[-1]["params"]["limit"] == 1
    assert entries[-1]["params"]["offset_date"] is None


@pytest.mark.slow
async def test_a_killed_server_has_journaled_all_it_served(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    with program("--journal", str(journal)) as (process, ready):
        async with connected(reach(ready)) as client:
            peer = await client.get_input_entity("demo_quiet")
            for _ in range(20):
                await client(history(peer, limit=1))
            process.kill()
            process.wait(10)
    methods = [json.loads(line)["method"] for line in journal.read_text().splitlines()]
    assert methods.count("messages.getHistory") == 20


def test_sessions_outlive_a_restart_with_the_same_seed_and_port(world: World) -> None:
    with Simulator(world, seed=5) as sim:
        port, session = sim.port, sim.session

    async def authorized(again: Simulator) -> bool:
        async with connected(again, session) as client:
            return bool(await client.is_user_authorized())

    with Simulator(world, seed=5, port=port) as again:
        assert again.session == session
        assert asyncio.run(authorized(again))


async def test_an_export_and_a_fault_script_are_served(tmp_path: Path) -> None:
    export = tmp_path / "my_chat"
    export.mkdir()
    message = {"id": 7, "type": "message", "date_unixtime": "1700000000", "from_id": "user5", "text": "hi"}
    chat = {"name": "Chat", "type": "public_channel", "id": 1234, "messages": [message]}
    (export / "result.json").write_text(json.dumps(chat))
    faults = tmp_path / "faults.json"
    rule = {"kind": "error", "error": "FLOOD_WAIT_3", "method": "messages.getHistory", "count": 1}
    faults.write_text(json.dumps({"rules": [rule]}))
    with program("--export", str(export), "--faults", str(faults), "--latency-ms", "1") as (process, ready):
        assert ready["chats"] == [{"username": "my_chat", "messages": 1}]
        async with connected(reach(ready)) as client:
            peer = await client.get_input_entity("my_chat")
            with pytest.raises(errors.FloodWaitError):
                await client(history(peer))
            # Telethon itself remembers a flood wait; the next request of the kind goes past its memory.
            page = await client._sender.send(history(peer))
            assert [(one.id, one.message) for one in page.messages] == [(7, "hi")]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--export", "."], "result.json"),
        (["--faults", "pyproject.toml"], "pyproject.toml"),
    ],
)
def test_bad_arguments_get_a_sentence_and_exit_code_two(arguments: list[str], sentence: str) -> None:
    ended = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_gets_a_sentence(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SimulatorError, match=f"port {port} of 127.0.0.1 cannot be used: .*in use"),
            Simulator(world, port=port),
        ):
            pass


def test_a_journal_that_cannot_be_written_gets_a_sentence(world: World, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=f"{tmp_path} .*Is a directory"), Simulator(world, journal=tmp_path):
        pass
