import asyncio
import os
import subprocess
import sys

import pytest

from tg_pipeline.bootstrap.settings import load_settings
from tg_pipeline.cli.main import cli
from tg_pipeline.state.lease import lease
from tg_pipeline.telegram.sessions import Session
from tg_pipeline_tests.cli.conftest import Terminal

VERBS = [(), *((name,) for name in cli.commands), *(("chats", name) for name in ("add", "list", "show", "remove"))]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_says_what_it_does(terminal: Terminal, verb: tuple[str, ...]) -> None:
    assert terminal.ok(*verb, "--help").startswith("Usage: ")


def test_help_needs_neither_dagster_nor_telethon() -> None:
    heavy = "dagster telethon pandas redis"
    program = (
        "import sys; from tg_pipeline.cli.main import main; main(['fetch', '--help'])\n"
        f"sys.exit(' '.join(set('{heavy}'.split()) & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_verb_is_refused(terminal: Terminal) -> None:
    assert "No such command 'fetsch'" in terminal.refused("fetsch")


def test_what_trying_again_may_mend_exits_with_1(tg: Terminal) -> None:
    tg.set("LEASE_WAIT_SECONDS", 0)
    settings = load_settings()
    fingerprint = Session("it", settings.session_secrets[0]).fingerprint

    async def while_somebody_holds_the_session() -> tuple[int, str]:
        async with lease(settings.session_leases, [fingerprint], what="The session", wait_seconds=0):
            done = await asyncio.to_thread(run_elsewhere)
            return done.returncode, done.stderr

    def run_elsewhere() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tg_pipeline.cli.main", "fetch", "busy", "--from", "2024-01-01"]
        return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)

    code, sentence = asyncio.run(while_somebody_holds_the_session())
    assert code == 1
    assert f"in use by process {os.getpid()}" in sentence
