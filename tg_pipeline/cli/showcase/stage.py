"""The servers of a demo, each a child process that cannot outlive it."""

import json
import logging
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tg_pipeline.cli.options import echo
from tg_pipeline.contracts.errors import InputError, TgPipelineError
from tg_pipeline.dagster_client.webserver import is_up, webserver_url, write_webserver_url
from tg_pipeline.machine.children import end_group
from tg_pipeline.machine.http import http_client
from tg_pipeline.machine.locks import locked_file
from tg_pipeline.machine.ports import free_port
from tg_pipeline.machine.tether import tethered
from tg_pipeline.resilience.loopback import guarded_environment
from tg_pipeline.settings import PROJECT_DIRECTORY, Settings, inherited_environment
from tg_pipeline.state.redis_server import RedisServer

START_SECONDS = 120.0
ANSWER_SECONDS = 3.0
MISSED_ANSWERS = 2
STOP_SECONDS = 20.0
MAX_STAGES = 9
MARK = "made-by-a-demo"
MADE_BY_EVERY_DEMO = {MARK, "demo.env", "home", "logs", "redis", "state"}
"""Of no use where there are no chats."""

log = logging.getLogger(__name__)


class DemoError(TgPipelineError):
    """A server of the demo did not start or ended; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running demo. `keys` are its settings as a .env would hold them; `simulator` is the simulator's ready line.

    `start_again_what_ended` starts the simulator and Redis on their ports again where they ended, or did not answer
    twice in a row, and logs it.
    """

    directory: Path
    keys: Mapping[str, str]
    simulator: Mapping[str, Any]
    start_again_what_ended: Callable[[], None]

    @property
    def settings(self) -> Settings:
        """The demo's settings, for use in this process."""
        return Settings.model_validate({key.lower(): value for key, value in self.keys.items()})

    @property
    def control(self) -> str:
        """Address of the simulator's control port."""
        return f"http://{self.simulator['host']}:{self.simulator['control']}"

    @property
    def url(self) -> str:
        """Of Dagster's webserver."""
        return webserver_url(self.settings.home)

    def environment(self) -> dict[str, str]:
        """What a child process needs to be part of the demo."""
        inherited = inherited_environment()
        path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
        return guarded_environment({**inherited, **self.keys, "PATH": path})

    def write_env_file(self) -> Path:
        """The settings for a shell to read."""
        file = self.directory / "demo.env"
        given = {**self.keys, "SIMULATOR_CONTROL_URL": self.control}
        file.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items()))
        return file


@contextmanager
def own_directory() -> Iterator[Path]:
    """`.demo/1`, with nothing in it but `logs`; `.demo/2` and so on for demos beside a running one.

    The demo before is in `.demo/1.before` then, if it had chats or anything else that a demo does not bring along. Only
    what a demo made is ever moved or removed, which a line says; another directory of that name is left alone.

    Raises:
        InputError: no such directory is free, or what a demo made cannot be removed.
    """
    root = PROJECT_DIRECTORY / ".demo"
    root.mkdir(exist_ok=True)
    for number in range(1, MAX_STAGES + 1):
        with ExitStack() as stack:
            try:
                stack.enter_context(locked_file(root / f"{number}.lock", wait_seconds=0.0, mode=0o600))
            except TimeoutError:
                continue
            if _made_again(directory := root / str(number), root / f"{number}.before"):
                yield directory
                return
    raise InputError(f"{MAX_STAGES} demos are running already, or their directories are taken: see {root}.")


def _made_again(directory: Path, before: Path) -> bool:
    """Make the directory of a demo, once the demo before is out of its way; False where something else is in it."""
    try:
        if foreign := [path for path in (directory, before) if _is_foreign(path)]:
            echo(f"{foreign[0]} was not made by a demo: it is left as it is.")
            return False
        if directory.exists():
            _clear(directory, before)
        (directory / "logs").mkdir(parents=True)
        (directory / MARK).write_text("The next demo moves or removes this directory.\n")
    except OSError as error:
        raise InputError(f"{error.filename}, of an earlier demo, cannot be removed: {error.strerror}.") from error
    return True


def _is_foreign(path: Path) -> bool:
    if path.is_symlink() or path.is_file():
        return True
    return path.exists() and any(path.iterdir()) and not (path / MARK).is_file()


def _clear(directory: Path, before: Path) -> None:
    """Move the demo before away, or remove it if it had no chats, and say so."""
    if {path.name for path in directory.iterdir()} <= MADE_BY_EVERY_DEMO:
        shutil.rmtree(directory)
        echo(f"The demo before had no chats: {directory} is removed and made again.")
        return
    older = ""
    if before.exists():
        shutil.rmtree(before)
        older = " What was there, of the one before that, is removed."
    directory.rename(before)
    echo(f"The demo before, with its chats and archive, is in {before} now.{older}")


@contextmanager
def running(directory: Path, world: Sequence[str]) -> Iterator[Stage]:
    """The simulator, given the flags that say what it serves, and a Redis; both stopped when the block ends."""
    command = [sys.executable, "-m", "tg_pipeline.cli.main", "simulate", *world]
    journal = ["--journal", str(directory / "logs" / "journal.jsonl")]
    guarded = guarded_environment(inherited_environment())
    with ExitStack() as stack:

        def simulate(*more: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
            simulating = child("simulator", [*command, *journal, *more], guarded, directory, stdout=subprocess.PIPE)
            process = stack.enter_context(simulating)
            return process, json.loads(_first_line(process, directory / "logs" / "simulator.log"))

        process, ready = simulate()
        redis = RedisServer(directory / "redis", keep=True)
        stack.callback(redis.stop)

        missed = {"Redis": 0, "simulator": 0}

        def hangs(name: str, *, answers: bool) -> bool:
            missed[name] = 0 if answers else missed[name] + 1
            if missed[name] < MISSED_ANSWERS:
                return False
            missed[name] = 0
            log.error("The %s of the demo does not answer. It is ended.", name)
            return True

        def start_again_what_ended() -> None:
            nonlocal process
            if hangs("Redis", answers=redis.answers()):
                redis.kill()
            if hangs("simulator", answers=_answers(ready["host"], ready["control"])):
                process.kill()
                process.wait()
            if (code := redis.start_again_if_ended()) is not None:
                log.error("The Redis of the demo ended (exit code %s). It is started again.", code)
            if (code := process.poll()) is not None:
                log.error("The simulator ended (exit code %s). It is started again.", code)
                # Where clients find the Telegram that they know.
                process, _ = simulate("--port", str(ready["port"]), "--control-port", str(ready["control"]))

        home = directory / "home"
        home.mkdir(exist_ok=True)
        shutil.copyfile(PROJECT_DIRECTORY / "dagster.yaml", home / "dagster.yaml")
        write_webserver_url(home, f"http://127.0.0.1:{free_port()}")
        yield Stage(directory, _keys(directory, ready, redis.url), ready, start_again_what_ended)


def _keys(directory: Path, ready: Mapping[str, Any], redis_url: str) -> dict[str, str]:
    """The settings of the demo: every key is given, so that nothing of the user's own comes through."""
    blank = dict.fromkeys((key.upper() for key in Settings.model_fields), "")
    own = {
        "TELEGRAM_API_ID": str(ready["api_id"]),
        "TELEGRAM_API_HASH": ready["api_hash"],
        "TELEGRAM_SESSION": ready["session"],
        "TELEGRAM_SERVER_PUBLIC_KEY": ready["public_key"],
        "DAGSTER_HOME": str(directory / "home"),
        "DATA_URI": str(directory / "data"),
        "CHATS_FILE": str(directory / "chats.yaml"),
        "XDG_STATE_HOME": str(directory / "state"),
        "REDIS_URL": redis_url,
        # The local server limits nothing.
        "RATE_LIMIT_STRATEGY": "fixed",
        "RATE_LIMIT_PER_SECOND": "1000",
        "RATE_LIMIT_STRICT_PER_SECOND": "1000",
    }
    return blank | own


@contextmanager
def dagster(stage: Stage) -> Iterator[None]:
    """Dagster's webserver, daemon and code location, answering."""
    port = stage.url.rpartition(":")[2]
    workspace = str(PROJECT_DIRECTORY / "workspace.yaml")
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", port, "--workspace", workspace]
    with child("dagster", command, stage.environment(), stage.directory) as process:
        _wait_until_up(stage.url, process, stage.directory / "logs" / "dagster.log")
        yield


@contextmanager
def child(
    name: str, command: Sequence[str], variables: Mapping[str, str], directory: Path, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its log in `logs/<name>.log`, in a session of its own so that Ctrl-C reaches us first."""
    with (directory / "logs" / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            tethered(command),
            env=dict(variables),
            cwd=PROJECT_DIRECTORY,
            stdin=subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # all at once: Dagster would stop its processes one after another
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        end_group(process)
        if process.stdout:
            process.stdout.close()


def _answers(host: str, port: int) -> bool:
    url = f"http://{host}:{port}/"
    try:
        with http_client(url, ANSWER_SECONDS) as client:
            client.get(url)
    except httpx.HTTPError:
        return False
    return True


def _first_line(process: subprocess.Popen[bytes], log: Path) -> bytes:
    assert process.stdout is not None  # noqa: S101 - the caller opened it as a pipe
    select.select([process.stdout], [], [], START_SECONDS)
    line: bytes = process.stdout.readline() if process.poll() is None or process.stdout.readable() else b""
    if not line:
        raise DemoError(f"The simulator does not start.\n{_tail(log)}")
    return line


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if is_up(url):
            return
        time.sleep(0.2)
    raise DemoError(f"Dagster does not start.\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
