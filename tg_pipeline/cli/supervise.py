"""Keeping Dagster running, and ending it in order."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tg_pipeline.cli.children import end_group
from tg_pipeline.cli.running import Terminated
from tg_pipeline.contracts.errors import StateUnavailable, TgPipelineError
from tg_pipeline.state.redis_client import OUTAGE
from tg_pipeline.state.tether import tethered

LOOK_EVERY_SECONDS = 5.0
STOP_SECONDS = 60.0
"""Time for runs to finish the page in hand, and for Dagster to end its processes one after the other."""
SHORT_LIFE_SECONDS = 20.0
SHORT_LIVES = 3
PAUSE_SECONDS = 2.0

log = logging.getLogger(__name__)


class SupervisionError(TgPipelineError):
    """What was to be kept running does not run."""


class RedisWatch:
    """How long Redis has been away. `ping` raises StateUnavailable while it is; `longest` in seconds, None for ever."""

    def __init__(self, ping: Callable[[], object], longest: float | None) -> None:
        self._ping = ping
        self._longest = longest
        self._since: float | None = None

    def look(self) -> None:
        """Look once. StateUnavailable once it is away for too long."""
        try:
            self._ping()
        except StateUnavailable as error:
            if self._since is None:
                self._since = time.monotonic()
            OUTAGE.begin(error)
        else:
            self._since = None
        away = 0.0 if self._since is None else time.monotonic() - self._since
        if self._longest is not None and away > self._longest:
            raise StateUnavailable(
                f"Redis has been away for {away:.0f} s, which is more than REDIS_OUTAGE_MAX_SECONDS."
            )


class Supervisor:
    """Runs a command in a process group of its own, and starts it anew where it ends by itself."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self._command = tethered(command)
        self._environment = dict(environment)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._signals: list[signal.Signals] = []
        self._stop = threading.Event()

    def run(self, look: Callable[[], None]) -> None:
        """Keep it running until SIGINT or SIGTERM comes, which it is told too; then KeyboardInterrupt or Terminated.

        `look` is called every few seconds; what it raises ends the command in order. SupervisionError where the
        command does not stay alive.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._pass_on)
        short_lives = 0
        while not self._stop.is_set():
            began = time.monotonic()
            code = self._run_once(look)
            if self._signals:
                break
            short_lives = short_lives + 1 if time.monotonic() - began < SHORT_LIFE_SECONDS else 0
            if short_lives >= SHORT_LIVES:
                raise SupervisionError(f"Dagster ended {SHORT_LIVES} times in a row soon after its start.")
            log.error("Dagster ended by itself (exit code %s). It is started again.", code)
            self._stop.wait(PAUSE_SECONDS)
        raise KeyboardInterrupt if self._signals[0] is signal.SIGINT else Terminated

    def _run_once(self, look: Callable[[], None]) -> int:
        self._process = process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not self._stop.is_set():
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(LOOK_EVERY_SECONDS)
                look()
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        except TgPipelineError:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            raise
        finally:
            end_group(process)

    def _pass_on(self, number: int, _: object) -> None:
        self._signals.append(signal.Signals(number))
        self._signal(signal.Signals(number))
        self._stop.set()

    def _signal(self, number: signal.Signals) -> None:
        """To all its processes at once, as a terminal does: runs under way finish the page in hand."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
