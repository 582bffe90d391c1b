"""Keeping Dagster's services running, and ending them in order."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tg_pipeline.cli.running import Terminated
from tg_pipeline.contracts.errors import StateUnavailable, TgPipelineError
from tg_pipeline.machine.children import end_group, group_exists
from tg_pipeline.machine.tether import tethered
from tg_pipeline.state.redis_client import OUTAGE

LOOK_EVERY_SECONDS = 4.0
ASKED_WHILE_STARTING = 8
"""Times between two looks that a service is asked which has not answered yet."""
STOP_SECONDS = 60.0
"""Time for runs to finish the page in hand."""
IDLE_STOP_SECONDS = 10.0
"""Time for what has no run to end by itself."""
SHORT_LIFE_SECONDS = 20.0
SHORT_LIVES = 3
SILENT_SECONDS = LOOK_EVERY_SECONDS / 2
"""How long a service that has answered may not answer before it is started again: until the look after next."""
FIRST_ANSWER_SECONDS = 360.0
"""The same for a service that has not answered since its start: thousands of chats take minutes to load."""
LOADER_SECONDS = 30.0
"""After its start a service that loads in a process of its own has begun that one."""

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


@dataclass(frozen=True)
class Service:
    """A process to keep running, and how to see that it works. The next service starts when this one is ready.

    `is_loading`, asked with its process id until it answers: whether what it waits for still comes about. `clean_up`
    ends what it left behind, given its process id, which is that of its group; `clean_up_idle` only what does nothing.
    """

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool] = lambda: True
    answers: Callable[[], bool] = lambda: True
    is_loading: Callable[[int], bool] = lambda _: True
    clean_up: Callable[[int], None] = lambda _: None
    clean_up_idle: Callable[[int], None] = lambda _: None


@dataclass
class _Kept:
    service: Service
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    silent_since: float | None = None
    patience: float = FIRST_ANSWER_SECONDS
    was_loading: bool = False
    short_lives: int = 0


class Supervisor:
    """Keeps services running, each in a process group of its own: one that ends takes no other along."""

    def __init__(self, services: Sequence[Service], environment: Mapping[str, str], directory: Path) -> None:
        self._kept = [_Kept(service) for service in services]
        self._environment = dict(environment)
        self._directory = directory
        self._leaders: list[subprocess.Popen[bytes]] = []
        self._signals: list[signal.Signals] = []
        self._stop = threading.Event()

    def run(self, look: Callable[[], None], ready: Callable[[], None] = lambda: None) -> None:
        """Keep them running until SIGINT or SIGTERM, for which they get SIGTERM; then KeyboardInterrupt or Terminated.

        A service that ends by itself, or no longer answers, is started again. `ready` is called once when all of
        them are ready, `look` every few seconds.
        SupervisionError where a service does not stay alive, or what `look` raises; all are ended then.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._pass_on)
        try:
            for one in self._kept:
                self._start(one)
                while not (self._stop.is_set() or one.service.is_ready()):
                    self._stop.wait(0.1)
                    for begun in self._kept:
                        self._restart_if_ended(begun)
                        self._restart_if_stuck(begun)
            if not self._stop.is_set():
                ready()
            while not self._wait():
                look()
                for one in self._kept:
                    self._restart_if_ended(one)
                    self._restart_if_silent(one)
        finally:
            self._end()
        raise KeyboardInterrupt if self._signals[0] is signal.SIGINT else Terminated

    def _wait(self) -> bool:
        """Until the next look; whether to stop.

        A service that has not answered yet is asked meanwhile: one that dies right after its first answer would
        otherwise have the time of one that is still loading.
        """
        for _ in range(ASKED_WHILE_STARTING):
            for one in self._kept:
                if one.patience == FIRST_ANSWER_SECONDS:
                    self._restart_if_silent(one)
                    self._restart_if_stuck(one)
            if self._stop.wait(LOOK_EVERY_SECONDS / ASKED_WHILE_STARTING):
                return True
        return False

    def _restart_if_ended(self, kept: _Kept) -> None:
        if kept.process is None or kept.process.poll() is None or self._stop.is_set():
            return
        kept.short_lives = kept.short_lives + 1 if time.monotonic() - kept.began < SHORT_LIFE_SECONDS else 0
        if kept.short_lives >= SHORT_LIVES:
            raise SupervisionError(f"The {kept.service.name} ended {SHORT_LIVES} times in a row soon after its start.")
        log.error("The %s ended (exit code %s). It is started again.", kept.service.name, kept.process.returncode)
        self._start(kept)

    def _restart_if_silent(self, kept: _Kept) -> None:
        asked = time.monotonic()
        if kept.service.answers():
            kept.silent_since, kept.patience = None, SILENT_SECONDS
            return
        kept.silent_since = asked if kept.silent_since is None else kept.silent_since
        silent = time.monotonic() - kept.silent_since
        if asked - kept.silent_since > kept.patience and not self._stop.is_set() and kept.process is not None:
            log.error("The %s has not answered for %.0f s. It is started again.", kept.service.name, silent)
            self._replace(kept, kept.process)

    def _restart_if_stuck(self, kept: _Kept) -> None:
        """A process that waits for another one of its own, which was killed, would wait for minutes."""
        if kept.process is None or kept.patience != FIRST_ANSWER_SECONDS or self._stop.is_set():
            return
        is_loading = kept.service.is_loading(kept.process.pid)
        is_late = kept.was_loading or time.monotonic() - kept.began > LOADER_SECONDS
        if is_late and not is_loading and not kept.service.answers():
            log.error("The %s died while it was loading. It is started again.", kept.service.name)
            self._replace(kept, kept.process)
        else:
            kept.was_loading = is_loading

    def _replace(self, kept: _Kept, process: subprocess.Popen[bytes]) -> None:
        """Start it again. Only the process itself is killed: the runs that it has launched go on."""
        process.kill()
        process.wait()
        self._start(kept)

    def _start(self, kept: _Kept) -> None:
        if self._stop.is_set():
            return
        if kept.process is not None:
            kept.service.clean_up(kept.process.pid)
        self._leaders = [leader for leader in self._leaders if group_exists(leader)]
        kept.process = subprocess.Popen(
            tethered(kept.service.command),
            env=self._environment,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._leaders.append(kept.process)
        kept.began = kept.silent_since = time.monotonic()
        kept.patience, kept.was_loading = FIRST_ANSWER_SECONDS, False
        if self._signals:  # it came while the process was being started
            os.killpg(kept.process.pid, signal.SIGTERM)

    def _end(self) -> None:
        if not self._signals:
            self._terminate()
        began = time.monotonic()
        while any(map(group_exists, self._leaders)) and time.monotonic() - began < STOP_SECONDS:
            if time.monotonic() - began > IDLE_STOP_SECONDS:
                for one in self._kept:
                    if one.process is not None:
                        one.service.clean_up_idle(one.process.pid)
            time.sleep(0.05)
        for leader in self._leaders:
            end_group(leader)

    def _pass_on(self, number: int, _: object) -> None:
        self._stop.set()
        self._signals.append(signal.Signals(number))
        self._terminate()

    def _terminate(self) -> None:
        """All processes at once, as a terminal does: runs under way finish the page in hand.

        By SIGTERM, also for Ctrl-C: Dagster's processes answer SIGINT with the stack of whatever they were doing.
        """
        for leader in self._leaders:
            with suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGTERM)
