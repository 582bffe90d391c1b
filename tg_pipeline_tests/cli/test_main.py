import asyncio
import os
import signal
import subprocess
import sys

import pytest

from tg_pipeline.cli.main import cli
from tg_pipeline.machine.lease import lease
from tg_pipeline.settings import load_settings
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
    assert f"process {os.getpid()} " in sentence


INTERRUPTED_AT_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = ["tg-pipeline", "fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-02"]
from tg_pipeline.cli.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["click", "pydantic_core", "telethon"])
def test_an_interrupt_while_modules_are_imported_ends_the_process_without_a_word(tg: Terminal, module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT_IMPORT.format(module=module)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGINT, done
    assert (done.stdout, done.stderr) == ("", "")
    seen = subprocess.run(["sh", "-c", '"$@"; echo $?', "sh", *command], capture_output=True, text=True, check=False)
    assert seen.stdout == "130\n"


def test_an_interrupt_that_is_ignored_by_whoever_starts_the_process_stays_ignored(tg: Terminal) -> None:
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c"]
    done = subprocess.run(
        [*command, INTERRUPTED_AT_IMPORT.format(module="telethon")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    assert "2 days" in done.stdout
