"""What people get wrong, one sentence each, exit code 2, and nothing lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tg_pipeline.cli.showcase.stage import DemoError
from tg_pipeline.contracts.errors import InputError, SessionMissing, SettingsError, TgPipelineError
from tg_pipeline.exports.errors import ExportError
from tg_pipeline.simulator import Simulator
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.telegram_account import plain_world

FETCH = ("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")


@pytest.mark.parametrize("verb", [FETCH, ("login",), ("chats", "add", "@busy")], ids=" ".join)
def test_nothing_set_names_the_first_thing_to_get(terminal: Terminal, verb: tuple[str, ...]) -> None:
    assert terminal.fails(SettingsError, *verb).field == "TELEGRAM_API_ID"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TELEGRAM_API_ID", "abc"),
        ("TELEGRAM_API_ID", "-5"),
        ("TELEGRAM_API_HASH", "abc"),
        ("TELEGRAM_API_HASH", "g" * 32),
        ("TELEGRAM_API_HASH", ""),
        ("TELEGRAM_SERVER_PUBLIC_KEY", "nofile.pem"),
        ("TELEGRAM_PROXY", "gopher://x"),
        ("PARALLELISM_MAX", "0"),
        ("RETRY_MAX_ATTEMPTS", "many"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_setting_is_named(tg: Terminal, key: str, value: str) -> None:
    tg.set(key, value)
    assert tg.fails(SettingsError, *FETCH).field == key
    assert not list(tg.data.rglob("*"))


def test_settings_that_contradict_each_other_are_both_named(tg: Terminal) -> None:
    tg.set("BACKOFF_BASE_SECONDS", "99")
    error = str(tg.fails(SettingsError, *FETCH))
    assert "BACKOFF_BASE_SECONDS (99)" in error
    assert "BACKOFF_MAX_SECONDS (" in error
    assert not list(tg.data.rglob("*"))


@pytest.mark.parametrize("session", ["rubbish", ""])
def test_a_session_that_is_none_says_how_to_get_one(tg: Terminal, session: str) -> None:
    tg.set("TELEGRAM_SESSION", session)
    assert "`tg-pipeline login`" in str(tg.fails(SessionMissing, *FETCH))
    assert not list(tg.data.rglob("*"))


def test_secrets_are_not_repeated(tg: Terminal) -> None:
    secret = "thisisasecretof32charactersxxxxx"
    tg.set("TELEGRAM_API_HASH", secret)
    assert secret not in tg.refused(*FETCH)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("chats:\n- slug: a\n  chat: @busy\n", "line 3: "),
        ("chats: [", "YAML"),
        ("- slug: a\n", "`chats`"),
        ("\udcff", "UTF-8"),
    ],
)
@pytest.mark.parametrize("verb", [FETCH, ("chats", "list"), ("chats", "add", "@busy")], ids=["fetch", "list", "add"])
def test_a_wrong_registry_is_named_with_its_line(tg: Terminal, verb: tuple[str, ...], text: str, named: str) -> None:
    raw = text.encode(errors="surrogateescape")
    tg.chats_file.write_bytes(raw)
    error = str(tg.fails(SettingsError, *verb))
    assert str(tg.chats_file) in error
    assert named in error
    assert tg.chats_file.read_bytes() == raw
    assert not tg.data.exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- slug: ../x\n  chat: '@busy'\n", "line 4: slug is '../x'"),
        ("- slug: a\n  chat: '@busy'\n  chatt: x\n", "line 6: unknown key 'chatt'"),
        ("- slug: a\n  id: 5\n  username: busy\n", "line 4: "),
        ("- slug: z_z\n  chat: '@busy'\n", "line 4: The slugs z_z "),
        ("- slug: a\n  chat: '@busy'\n  start: 2025-02-30\n", "start is '2025-02-30'"),
    ],
)
@pytest.mark.parametrize("verb", [FETCH, ("chats", "add", "@busy"), ("chats", "show", "@busy")], ids=lambda v: v[0])
def test_a_wrong_entry_stops_its_own_chat_only(tg: Terminal, verb: tuple[str, ...], text: str, named: str) -> None:
    raw = f"chats:\n- slug: z-z\n  chat: '@z_z'\n{text}"
    tg.chats_file.write_text(raw)
    error = str(tg.fails(SettingsError, *verb))
    assert str(tg.chats_file) in error
    assert named in error
    assert tg.chats_file.read_text() == raw
    assert not tg.data.exists()
    assert "z_z" in tg.ok("chats", "list")


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
    error = str(tg.fails(SessionMissing, *FETCH))
    assert str(path) in error
    assert "`tg-pipeline login`" in error


def export(directory: Path, content: Any) -> Path:
    folder = directory / "someone"
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "result.json").write_text(text)
    return folder


MESSAGE = {"id": 1, "type": "message", "date": "2020-05-01T12:00:00", "from": "A", "from_id": "user1", "text": "x"}
CHAT = {"name": "C", "type": "public_channel", "id": 7, "messages": [MESSAGE]}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "is empty"),
        ("[]", "JSON object"),
        ('{"about": 1}', "messages"),
        (json.dumps(CHAT)[:-40], f"byte {len(json.dumps(CHAT)) - 40}"),
        (CHAT, "--timezone"),
        ({**CHAT, "type": "odd"}, "'odd'"),
    ],
)
@pytest.mark.parametrize(("verb", "kind"), [("simulate", ExportError), ("demo", DemoError)])
def test_an_export_that_cannot_be_served_is_refused(
    terminal: Terminal, tmp_path: Path, verb: str, kind: type[TgPipelineError], content: Any, named: str
) -> None:
    folder = export(tmp_path, content)
    flags = ("--export", str(folder)) if verb == "simulate" else ("--once", "--exports", str(tmp_path))
    error = str(terminal.fails(kind, verb, *flags))
    assert str(folder / "result.json") in error
    assert named in error


def test_a_directory_without_exports_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    assert str(tmp_path / "result.json") in str(terminal.fails(InputError, "simulate", "--export", str(tmp_path)))
    for flags in (("--once", "--exports", str(tmp_path)), ("--exports", str(tmp_path / "nowhere"))):
        error = terminal.fails(InputError, "demo", *flags)
        assert error.field == "exports"
        assert f"{flags[-1]} " in str(error)


def test_a_simulator_is_not_started_on_a_port_that_is_taken(terminal: Terminal, simulator: Simulator) -> None:
    said = terminal.refused("simulate", "--port", str(simulator.port))
    assert f"port {simulator.port} of 127.0.0.1" in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "fault script"), ('{"rules": [{"kind": "odd"}]}', "kind"), ('{"sead": 1}', "sead")],
)
def test_a_fault_script_that_is_none_is_refused(terminal: Terminal, tmp_path: Path, text: str, sentence: str) -> None:
    script = tmp_path / "faults.json"
    script.write_text(text)
    assert sentence in terminal.refused("simulate", "--faults", str(script))


@pytest.mark.parametrize("verb", ["simulate", "demo"])
def test_a_time_zone_that_is_none_is_refused(terminal: Terminal, verb: str) -> None:
    error = terminal.fails(click.BadParameter, verb, "--timezone", "Mars/Base")
    assert error.param is not None
    assert error.param.name == "timezone"
    assert "'Mars/Base'" in str(error)
