"""How commands are carried out: accept or reject what was pushed, follow what is in flight, launch what is due."""

import logging
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from tg_pipeline.app.accepting import accept_or_reject, log_fields, named
from tg_pipeline.app.command_chats import CommandChats
from tg_pipeline.app.command_spans import trace_command
from tg_pipeline.app.ended import publish_end
from tg_pipeline.app.skipping import skipping
from tg_pipeline.bus.queue import CommandQueue, InFlight
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.launcher import Launcher, Outcome
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_client import OUTAGE
from tg_pipeline.storage.registry import read_registry

ACCEPTED_PER_LOOK = 1_000
ACCEPTING_SECONDS = 3.0
"""Of a look, on a machine where so many take longer; what was taken meanwhile comes first in the next one."""
LAUNCHES_PER_LOOK = 10
"""Dagster launches about four runs a second, during which the sensor does nothing else."""
IN_FLIGHT_MOST = 100
LAUNCH_AGAIN_SECONDS = 60.0
"""After a claim that no launch followed: the process that made it died."""

log = logging.getLogger(__name__)


def dispatch(settings: Settings, queue: CommandQueue, launcher: Launcher, *, owner: str) -> Counter[str]:
    """Look at every command once, as `owner`, the name of those that follow the same launches; what was done, counted.

    While Redis is away nothing is done. Raises SettingsError where the registry cannot be understood.
    """
    chats = CommandChats(
        settings.chats_path,
        read_registry(settings.chats_path),
        settings.start_date,
        may_register=settings.commands_unregistered_chats == "register",
    )
    look = _Look(queue, launcher, chats, owner)
    try:
        queue.beat(owner)
        until = time.monotonic() + ACCEPTING_SECONDS
        for taken in queue.take(ACCEPTED_PER_LOOK):
            if time.monotonic() < until:
                with skipping(f"What was pushed as number {taken.seq}", look.done):
                    look.done[accept_or_reject(queue, taken, chats, settings.fetch_strategy)] += 1
        look.follow_and_launch()
    except StateUnavailable as error:
        OUTAGE.begin(error)
        look.done["not done: Redis is away"] += 1
    return look.done


@dataclass
class _Look:
    queue: CommandQueue
    launcher: Launcher
    chats: CommandChats
    owner: str
    done: Counter[str] = field(default_factory=Counter)

    def follow_and_launch(self) -> None:
        flights = self.queue.in_flight()
        for flight in flights:
            with skipping(f"Command {flight.command.id}", self.done):
                self._follow(flight)
        launched = self.done["launched"] + self.done["retried"]
        room = min(LAUNCHES_PER_LOOK - launched, IN_FLIGHT_MOST - len(flights))
        for command in self.queue.due()[: max(0, room)]:
            with skipping(f"Command {command.id}", self.done):
                if why := self.chats.why_not(command):
                    self.queue.drop(command, *why)
                elif self.chats.is_being_edited(command.slug):
                    self.done["waiting for chats.yaml"] += 1
                elif self._is_loaded(command) and self.queue.claim(command, self.owner):
                    self._launch(command)

    def _follow(self, flight: InFlight) -> None:
        command = flight.command
        if flight.owner != self.owner:
            adopted = self.queue.adopt(flight, self.owner)
            if adopted is None:
                return
            flight = adopted
        if not self.launcher.is_launched(command):
            self._follow_unlaunched(flight)
            return
        is_registered = self.chats.start_of(command.slug) is not None or self.chats.is_being_edited(command.slug)
        if flight.ended is None and is_registered and self._launch_again(command):
            return
        if not self.launcher.is_over(command):
            if flight.ended == "failed" or not is_registered:
                self.launcher.cancel(command)
            return
        found = self.launcher.outcome(command)
        if found.status != "success" and not is_registered and (why := self.chats.why_not(command)):
            found = replace(found, status="canceled", error_type=why[0], message=why[1])
        self._end(flight, found)

    def _follow_unlaunched(self, flight: InFlight) -> None:
        """Follow what was claimed and not launched: it is about to be, or the process that claimed it died."""
        command = flight.command
        if flight.ended:
            self.queue.release(command)
        elif why := self.chats.why_not(command):
            self._end(flight, Outcome("canceled", 0, 0, None, None, error_type=why[0], message=why[1]))
        elif time.time() - flight.claimed > LAUNCH_AGAIN_SECONDS and self._is_loaded(command):
            self._launch(command)

    def _launch(self, command: AcceptedCommand) -> None:
        self.launcher.launch(command)
        self.done["launched"] += 1
        log.info("%s is launched.", named(command), extra=log_fields(command))

    def _launch_again(self, command: AcceptedCommand) -> bool:
        """Launch the runs again that died; whether there are any."""
        dead = self.launcher.dead_runs(command)
        if dead and not self.chats.is_being_edited(command.slug) and self._is_loaded(command):
            for run_id in dead:
                self.launcher.launch_again(run_id)
            self.done["retried"] += len(dead)
            log.warning(
                "%s: runs that died are launched again: %s.", named(command), ", ".join(dead), extra=log_fields(command)
            )
        return bool(dead)

    def _is_loaded(self, command: AcceptedCommand) -> bool:
        """Whether the launcher knows the chat and the days, but for those before the chat's start."""
        first = max(command.first, self.chats.start_of(command.slug) or command.first)
        return self.launcher.is_loaded(command.slug, first, command.last)

    def _end(self, flight: InFlight, found: Outcome) -> None:
        command = flight.command
        self.done["ended"] += flight.ended is None and publish_end(self.queue, command, found)
        self.queue.release(command)
        took = round(time.time() * 1_000) - command.accepted
        log.info("%s is over.", named(command), extra={**log_fields(command), "duration_ms": took})
        trace_command(command, found, time.time())
