"""The command line in this process, on an instance of its own, logged in at a simulator."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
import pytest
from click.testing import CliRunner

from tg_pipeline.cli.main import main
from tg_pipeline.dagster_client import webserver
from tg_pipeline.settings import Settings
from tg_pipeline.simulator import Simulator
from tg_pipeline_tests.telegram_account import plain_world
from tg_pipeline_tests.unpaced import UNPACED

E = TypeVar("E", bound=Exception)

NOBODY = "http://127.0.0.1:9"
"""Where no Dagster listens: the discard port."""


@dataclass(frozen=True)
class Done:
    """How a verb ended, what it printed, and the error that ended it."""

    code: int
    out: str
    err: str
    error: BaseException | None = None


def said_by(error: BaseException) -> str:
    """The sentence that people read of an error."""
    return error.format_message() if isinstance(error, click.ClickException) else str(error)


class Terminal:
    """Types commands. `home` holds chats.yaml, data, instance and state."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.chats_file = home / "chats.yaml"
        self.data = home / "data"
        self._monkeypatch = monkeypatch
        for key in Settings.model_fields:
            self.set(key, "")
        self.set("DAGSTER_HOME", home / "instance")
        self.set("DATA_URI", self.data)
        self.set("CHATS_FILE", self.chats_file)
        self.set("XDG_STATE_HOME", home / "state")

    def set(self, key: str, value: object) -> None:
        """Give a setting in the environment; nothing stands for unset."""
        self._monkeypatch.setenv(key.upper(), str(value))

    def set_api(self, simulator: Simulator) -> None:
        """Point at the simulator, without a login."""
        self.set("TELEGRAM_API_ID", simulator.api_id)
        self.set("TELEGRAM_API_HASH", simulator.api_hash)
        self.set("TELEGRAM_SERVER_PUBLIC_KEY", simulator.public_key)
        for key, value in UNPACED.items():
            self.set(key, value)

    def log_in(self, simulator: Simulator) -> None:
        """Point at the simulator, with its first session."""
        self.set_api(simulator)
        self.set("TELEGRAM_SESSION", simulator.session)

    def run(self, *arguments: str, typed: str = "") -> Done:
        """A verb from its first to its last line; `typed` answers its questions."""
        code, error = 0, None
        with CliRunner().isolation(typed) as (out, err, _):
            try:
                main(arguments)
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
                error = ended.__context__
            return Done(code, out.getvalue().decode(), err.getvalue().decode(), error)

    def ok(self, *arguments: str, typed: str = "") -> str:
        """What a verb printed that must succeed."""
        done = self.run(*arguments, typed=typed)
        assert done.code == 0, done
        return done.out

    def refused(self, *arguments: str, typed: str = "") -> str:
        """The sentence of a verb that must end with exit code 2."""
        done = self.run(*arguments, typed=typed)
        assert done.code == 2, done
        assert "Traceback" not in done.err
        return done.err

    def fails(self, kind: type[E], *arguments: str, typed: str = "", code: int = 2) -> E:
        """The error that ends a verb. Its sentence must be printed."""
        done = self.run(*arguments, typed=typed)
        assert done.code == code, done
        assert isinstance(done.error, kind), done
        assert said_by(done.error) in done.err
        assert "Traceback" not in done.err
        return done.error


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Nothing set but where things lie. No Dagster of anybody's hears of it."""
    monkeypatch.setattr(webserver, "DEFAULT_URL", NOBODY)
    return Terminal(tmp_path, monkeypatch)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """One supergroup, `busy`: 30 messages on each of the first ten days of 2024."""
    with Simulator(plain_world()) as simulator:
        yield simulator


@pytest.fixture
def tg(terminal: Terminal, simulator: Simulator) -> Terminal:
    """Logged in at `simulator`."""
    terminal.log_in(simulator)
    terminal.set("BACKOFF_BASE_SECONDS", 0.001)
    terminal.set("BACKOFF_MAX_SECONDS", 0.01)
    return terminal
