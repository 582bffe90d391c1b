"""What people get wrong, one sentence each, exit code 2, and nothing lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tg_pipeline.simulator import Simulator
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.telegram_account import plain_world

FETCH = ("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")


def test_nothing_set_names_the_first_thing_to_get(terminal: Terminal) -> None:
    sentence = "TELEGRAM_API_ID is not set. Get both at https://my.telegram.org and write them into .env."
    assert sentence in terminal.refused(*FETCH)
    assert sentence in terminal.refused("login")
    assert sentence in terminal.refused("chats", "add", "@busy")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("TELEGRAM_API_ID", "abc", "TELEGRAM_API_ID: must be a whole number from 1 to 2147483647. Found 'abc'."),
        ("TELEGRAM_API_ID", "-5", "TELEGRAM_API_ID: must be a whole number"),
        ("TELEGRAM_API_HASH", "abc", "TELEGRAM_API_HASH: must be 32 hexadecimal digits"),
        ("TELEGRAM_API_HASH", "g" * 32, "TELEGRAM_API_HASH: must be 32 hexadecimal digits"),
        ("TELEGRAM_API_HASH", "", "TELEGRAM_API_HASH is not set"),
        ("TELEGRAM_SESSION", "rubbish", "The session string is malformed. Log in again"),
        ("TELEGRAM_SESSION", "", "There is no Telegram login on this machine. Run `tg-pipeline login`"),
        ("TELEGRAM_SERVER_PUBLIC_KEY", "nofile.pem", "TELEGRAM_SERVER_PUBLIC_KEY: "),
        ("TELEGRAM_PROXY", "gopher://x", "TELEGRAM_PROXY"),
        ("PARALLELISM_MAX", "0", "PARALLELISM_MAX: must be a whole number from 1 to 16"),
        ("RETRY_MAX_ATTEMPTS", "many", "RETRY_MAX_ATTEMPTS: "),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: must be one of DEBUG, INFO"),
        ("BACKOFF_BASE_SECONDS", "99", "BACKOFF_BASE_SECONDS (99) must not exceed BACKOFF_MAX_SECONDS"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(tg: Terminal, key: str, value: str, sentence: str) -> None:
    tg.set(key, value)
    said = tg.refused(*FETCH)
    assert sentence in said
    assert not list(tg.data.rglob("*"))


def test_secrets_are_not_repeated(tg: Terminal) -> None:
    secret = "thisisasecretof32charactersxxxxx"
    tg.set("TELEGRAM_API_HASH", secret)
    assert secret not in tg.refused(*FETCH)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("chats:\n- slug: ../x\n  chat: '@busy'\n", "line 2: slug is '../x': '../x' cannot be a slug"),
        ("chats:\n- slug: a\n  chat: '@busy'\n  chatt: x\n", "line 4: unknown key 'chatt'; allowed are slug, chat, id"),
        ("chats:\n- slug: a\n", "line 2: this chat has no 'chat'"),
        ("chats:\n- slug: a\n  chat: '@x_y'\n- slug: a\n  chat: '@z_z'\n", "a and a have the same slug"),
        ("chats:\n- slug: a\n  chat: '@busy'\n- slug: b\n  chat: t.me/Busy\n", "b and a have the same name, busy"),
        ("chats:\n- slug: a\n  chat: @busy\n", "A name that begins with @ needs quotes"),
        ("chats: [", "this is not YAML"),
        ("- slug: a\n", "the file must be a mapping with the one key `chats`"),
        ("chats:\n- slug: a\n  chat: b_b\n  start: 2025-02-30\n", "start is '2025-02-30'"),
        ("\udcff", "is not text in UTF-8"),
    ],
)
@pytest.mark.parametrize("verb", [FETCH, ("chats", "list"), ("chats", "add", "@busy")], ids=["fetch", "list", "add"])
def test_a_wrong_registry_is_named_with_its_line(tg: Terminal, verb: tuple[str, ...], text: str, sentence: str) -> None:
    raw = text.encode(errors="surrogateescape")
    tg.chats_file.write_bytes(raw)
    said = tg.refused(*verb)
    assert str(tg.chats_file) in said
    assert sentence in said
    assert tg.chats_file.read_bytes() == raw
    assert not tg.data.exists()


def test_a_data_directory_that_cannot_be_is_said_before_telegram_is_called(tg: Terminal, simulator: Simulator) -> None:
    tg.data.write_text("a file in its place")
    assert str(tg.data) in tg.refused(*FETCH)
    assert list(simulator.journal) == []
    assert tg.data.read_text() == "a file in its place"


def test_a_directory_where_a_file_belongs_is_said(tg: Terminal) -> None:
    (tg.data / "busy" / "2024" / "discussions_2024-01-02.json").mkdir(parents=True)
    assert "discussions_2024-01-02.json" in tg.refused(*FETCH)


def test_a_full_disk_is_said_and_nothing_is_lost(terminal: Terminal) -> None:
    program = (
        "import resource, sys; from tg_pipeline.cli.main import main\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))\n"
        "try: main(sys.argv[1:])\n"
        "finally: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
    )
    with Simulator(plain_world(per_day=900)) as simulator:
        terminal.log_in(simulator)
        command = [sys.executable, "-c", program, *FETCH]
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done
        assert "File too large" in done.stderr
        assert "Traceback" not in done.stderr
        assert "3 days, " in terminal.ok(*FETCH)
    assert "Whole: 3 day files" in terminal.ok("verify")


def test_the_instance_home_may_not_be_a_file(tg: Terminal) -> None:
    (tg.home / "instance").write_text("")
    assert str(tg.home / "instance") in tg.refused(*FETCH)


def test_a_damaged_session_file_is_named(tg: Terminal) -> None:
    tg.set("TELEGRAM_SESSION", "")
    path = tg.home / "instance" / "sessions" / "main.session.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    said = tg.refused(*FETCH)
    assert str(path) in said
    assert "Log in again" in said


def export(directory: Path, content: Any) -> Path:
    folder = directory / "someone"
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "result.json").write_text(text)
    return folder


MESSAGE = {"id": 1, "type": "message", "date": "2020-05-01T12:00:00", "from": "A", "from_id": "user1", "text": "x"}
CHAT = {"name": "C", "type": "public_channel", "id": 7, "messages": [MESSAGE]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("[]", "is not a Telegram Desktop export"),
        ('{"about": 1}', "is not a Telegram Desktop export"),
        (json.dumps(CHAT)[:-40], "is cut off at byte"),
        (CHAT, "has only a local date (2020-05-01T12:00:00); name the time zone"),
        ({**CHAT, "type": "odd"}, "has the type 'odd'"),
    ],
)
@pytest.mark.parametrize("verb", ["simulate", "demo"])
def test_an_export_that_cannot_be_served_is_refused(
    terminal: Terminal, tmp_path: Path, verb: str, content: Any, sentence: str
) -> None:
    folder = export(tmp_path, content)
    flags = ("--export", str(folder)) if verb == "simulate" else ("--once", "--exports", str(tmp_path))
    said = terminal.refused(verb, *flags)
    assert str(folder / "result.json") in said
    assert sentence in said


def test_a_directory_without_exports_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    assert "does not exist" in terminal.refused("simulate", "--export", str(tmp_path))
    assert "holds no Telegram Desktop export" in terminal.refused("demo", "--once", "--exports", str(tmp_path))
    assert "holds no Telegram Desktop export" in terminal.refused("demo", "--exports", str(tmp_path / "nowhere"))


def test_a_simulator_is_not_started_on_a_port_that_is_taken(terminal: Terminal, simulator: Simulator) -> None:
    said = terminal.refused("simulate", "--port", str(simulator.port))
    assert f"port {simulator.port} of 127.0.0.1 cannot be used" in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "fault script"), ('{"rules": [{"kind": "odd"}]}', "kind"), ('{"sead": 1}', "sead")],
)
def test_a_fault_script_that_is_none_is_refused(terminal: Terminal, tmp_path: Path, text: str, sentence: str) -> None:
    script = tmp_path / "faults.json"
    script.write_text(text)
    assert sentence in terminal.refused("simulate", "--faults", str(script))


def test_a_time_zone_that_is_none_is_refused(terminal: Terminal) -> None:
    assert "'Mars/Base' is no time zone" in terminal.refused("simulate", "--timezone", "Mars/Base")
    assert "'Mars/Base' is no time zone" in terminal.refused("demo", "--timezone", "Mars/Base")
