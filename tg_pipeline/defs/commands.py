"""The sensor that carries out commands: it judges what was pushed, launches what is due, and tells how it ended."""

import json
import logging
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import dagster as dg

from tg_pipeline.bus.queue import CommandQueue, InFlight, Taken
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.commands import AcceptedCommand, Command, CommandError, parse_command, plan
from tg_pipeline.contracts.errors import InputError, SettingsError, StateUnavailable
from tg_pipeline.contracts.registry import DisabledChat, Registry, chat_of_command, find_disabled, find_registered
from tg_pipeline.dagster_client.launching import (
    Outcome,
    cancel,
    dead_runs,
    is_launched,
    is_one_run,
    is_over,
    outcome,
    retry_request,
    run_request,
    submit,
)
from tg_pipeline.dagster_internals.backfills import CodeLocationOrigin
from tg_pipeline.dagster_internals.instances import SqlRunStorage
from tg_pipeline.dagster_internals.jobs import UnresolvedAssetJobDefinition
from tg_pipeline.defs.ended_runs import tell_ended
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline.defs.skipping import skipping, summary
from tg_pipeline.defs.tracing import trace_command
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_client import OUTAGE
from tg_pipeline.storage.registry import read_registry
from tg_pipeline.storage.registry_edit import add_chat

JUDGED_PER_TICK = 1_000
JUDGING_SECONDS = 3.0
"""Of a tick, on a machine where so many take longer; what was taken meanwhile comes first in the next one."""
LAUNCHES_PER_TICK = 10
"""Dagster launches about four runs a second, during which the sensor does nothing else."""
IN_FLIGHT_MOST = 100
RELOAD_SECONDS = 60.0
LAUNCH_AGAIN_SECONDS = 60.0
"""After a claim that no launch followed: whoever made it died."""

log = logging.getLogger(__name__)


@dataclass
class Tick:
    """One look at everything. `registry` is as it is on disk; `loaded` are the assets that Dagster knows of."""

    queue: CommandQueue
    settings: Settings
    instance: dg.DagsterInstance
    location: CodeLocationOrigin | None
    loaded: Callable[[str], dg.PartitionsDefinition[str] | None]
    owner: str
    today: date
    registry: list[RegisteredChat]
    disabled: Sequence[DisabledChat] = ()
    requests: list[dg.RunRequest] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    wants_reload: bool = False

    def run(self) -> None:
        """Judge, follow up, launch."""
        self.queue.beat(self.owner)
        until = time.monotonic() + JUDGING_SECONDS
        for taken in self.queue.take(JUDGED_PER_TICK):
            if time.monotonic() < until:
                with skipping(f"What was pushed as number {taken.seq}", self.done):
                    self.done[self._judge(taken)] += 1
        flights = self.queue.in_flight()
        for flight in flights:
            with skipping(f"Command {flight.command.id}", self.done):
                self._follow(flight)
        room = min(LAUNCHES_PER_TICK - len(self.requests), IN_FLIGHT_MOST - len(flights))
        for command in self.queue.due()[: max(0, room)]:
            with skipping(f"Command {command.id}", self.done):
                if why := self._why_not(command):
                    self.queue.drop(command, *why)
                elif self._is_ready(command) and self.queue.claim(command, self.owner):
                    self._launch(command)

    def _judge(self, taken: Taken) -> str:
        command: Command | None = None
        log.debug("Command number %s is taken from the list: %d bytes.", taken.seq, taken.size)
        try:
            command = parse_command(taken.raw, taken.size)
            accepted = self._accepted(command)
            log.debug(
                "The command asks for %s: strategy %s, force %s, priority %d.",
                *(accepted.days, accepted.strategy, accepted.force, accepted.priority),
                extra=_of(accepted),
            )
        except CommandError as error:
            told = {"command_id": str(uuid4())} | _about(taken, command)
            self.queue.reject(taken, error, about=told)
            log.info("A command is rejected: %s", error, extra={**told, "error_type": error.error_type})
            return "rejected"
        became = self.queue.accept(taken, command, accepted)
        log.info("The command for %s is %s.", accepted.days, became, extra=_of(accepted))
        return became

    def _accepted(self, command: Command) -> AcceptedCommand:
        chat = self._chat(command.chat)
        planned = plan(command, today=self.today, start=chat.start or self.settings.start_date)
        return AcceptedCommand(
            id=command.command_id or str(uuid4()),
            slug=chat.slug,
            chat=command.chat,
            mode=command.mode,
            params=command.params,
            first=planned.days.first,
            last=planned.days.last,
            strategy=command.strategy or self.settings.fetch_strategy,
            force=command.options.force,
            priority=command.options.priority,
            clamped=planned.clamped,
            ignored_options=command.options.ignored,
            accepted=int(datetime.now(UTC).timestamp() * 1_000),
        )

    def _chat(self, name: str) -> RegisteredChat:
        may_register = self.settings.commands_unregistered_chats == "register"
        chat = chat_of_command(Registry(self.registry, list(self.disabled)), name, may_register=may_register)
        if chat in self.registry:
            return chat
        try:
            add_chat(self.settings.chats_path, chat)
        except InputError as error:
            raise CommandError("ChatNotRegistered", str(error), field="chat", value=name) from None
        self.registry.append(chat)
        return chat

    def _follow(self, flight: InFlight) -> None:
        command = flight.command
        if flight.owner != self.owner:
            adopted = self.queue.adopt(flight, self.owner)
            if adopted is None:
                return
            flight = adopted
        if not is_launched(self.instance, command):
            self._follow_unlaunched(flight)
            return
        if flight.ended is None and self._is_registered(command) and self._retry(command):
            return
        if not is_over(self.instance, command, self.settings.backfill_days_per_run):
            if flight.ended == "failed" or not self._is_registered(command):
                cancel(self.instance, command)
            return
        found = outcome(self.instance, command)
        if found.status != "success" and not self._is_registered(command) and (why := self._why_not(command)):
            found = replace(found, status="canceled", error_type=why[0], message=why[1])
        self._end(flight, found)

    def _follow_unlaunched(self, flight: InFlight) -> None:
        """What was claimed, and Dagster does not have: it is about to, or whoever claimed it died."""
        command = flight.command
        if flight.ended:
            self.queue.release(command)
        elif why := self._why_not(command):
            self._end(flight, Outcome("canceled", 0, 0, None, None, error_type=why[0], message=why[1]))
        elif datetime.now(UTC).timestamp() - flight.claimed > LAUNCH_AGAIN_SECONDS and self._is_ready(command):
            self._launch(command)

    def _end(self, flight: InFlight, found: Outcome) -> None:
        command = flight.command
        self.done["ended"] += flight.ended is None and tell_ended(self.queue, command, found)
        self.queue.release(command)
        took = round(time.time() * 1_000) - command.accepted
        log.info("The command for %s is over.", command.days, extra={**_of(command), "duration_ms": took})
        trace_command(command, found, time.time())

    def _retry(self, command: AcceptedCommand) -> bool:
        """Launch the runs again that died; whether there are any."""
        dead = dead_runs(self.instance, command)
        if dead and self._is_ready(command):
            self.requests += map(retry_request, dead)
            self.done["retried"] += len(dead)
            log.warning(
                "Runs that died are launched again: %s.", ", ".join(run.run_id for run in dead), extra=_of(command)
            )
        return bool(dead)

    def _start(self, slug: str) -> date | None:
        """The chat's first day; None where it is not registered."""
        found = next((chat for chat in self.registry if chat.slug == slug), None)
        return (found.start or self.settings.start_date) if found else None

    def _is_registered(self, command: AcceptedCommand) -> bool:
        return self._start(command.slug) is not None

    def _why_not(self, command: AcceptedCommand) -> tuple[str, str] | None:
        """Why a command that was accepted cannot be launched any more: the error's class, and a sentence."""
        start = self._start(command.slug)
        if start is not None:
            late = command.last < start
            return ("BeforeStart", f"The chat's first day is {start} now, as chats.yaml says.") if late else None
        if disabled := find_disabled(self.disabled, command.slug):
            return "ChatDisabled", disabled.reason
        renamed = find_registered(self.registry, command.chat)
        now = f"is registered as {renamed.slug} now. Send the command again" if renamed else "left the registry"
        return "ChatNotRegistered", f"{command.slug} {now}."

    def _is_ready(self, command: AcceptedCommand) -> bool:
        """Whether Dagster has loaded the chat, and the days as partitions, but for those before the chat's start."""
        partitions = self.loaded(command.slug)
        first = max(command.first, self._start(command.slug) or command.first)
        known = partitions is not None and all(partitions.has_partition_key(str(day)) for day in (first, command.last))
        self.wants_reload |= not known
        return known

    def _launch(self, command: AcceptedCommand) -> None:
        if is_one_run(command):
            self.requests.append(run_request(command))
        elif self.location is not None:
            submit(self.instance, self.location, command)
        self.done["launched"] += 1
        log.info("The command for %s is launched.", command.days, extra=_of(command))


def commands_sensor(
    settings: Settings,
    queue: CommandQueue,
    chats: Sequence[RegisteredChat],
    jobs: Sequence[UnresolvedAssetJobDefinition],
) -> dg.SensorDefinition:
    """Looks every COMMANDS_INTERVAL_SECONDS. Runs as soon as Dagster does."""
    partitions = {chat.slug: daily_partitions(chat.start or settings.start_date) for chat in chats}

    reloading = _Reloading(settings)

    @dg.sensor(
        name="commands",
        jobs=jobs or None,
        minimum_interval_seconds=settings.commands_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Carries out the commands on the Redis list tg_commands, and publishes how they end.",
    )
    def commands(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        tick = Tick(
            queue=queue,
            settings=settings,
            instance=context.instance,
            location=context.code_location_origin,
            loaded=partitions.get,
            owner=_owner(context.instance),
            today=datetime.now(UTC).date(),
            registry=[],
        )
        try:
            found = read_registry(settings.chats_path)
            tick.registry, tick.disabled = found.chats, found.disabled
            tick.run()
        except StateUnavailable as error:
            OUTAGE.begin(error)
            tick.done["not done: Redis is away"] += 1
        except SettingsError as error:
            context.log.warning("Commands wait: %s", error)
            tick.done["not done"] += 1
        if tick.wants_reload:
            reloading.ask()
        told = summary(tick.done) or "No commands."
        return dg.SensorResult(run_requests=tick.requests, skip_reason=None if tick.requests else dg.SkipReason(told))

    return commands


def _owner(instance: dg.DagsterInstance) -> str:
    """The same for all daemons that share Dagster's database, since each can follow up what another launched."""
    storage = instance.run_storage
    return storage.get_run_storage_id() if isinstance(storage, SqlRunStorage) else socket.gethostname()


def _of(command: AcceptedCommand) -> dict[str, str]:
    """What log lines about it say of it."""
    return {"command_id": command.id, "chat": command.slug, "mode": command.mode}


def _about(taken: Taken, command: Command | None) -> dict[str, Any]:
    """What the event of a rejected command can repeat of it."""
    if command is not None:
        id_ = {"command_id": command.command_id} if command.command_id is not None else {}
        return {**id_, "chat": command.chat, "mode": command.mode}
    try:
        given = json.loads(taken.raw)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    told = {key: given.get(key) for key in ("command_id", "chat", "mode")}
    texts = {
        key: value.encode(errors="replace").decode()[:256]
        for key, value in told.items()
        if isinstance(value, str) and value
    }
    return texts | ({"command_id": texts["command_id"].lower()} if "command_id" in texts else {})


class _Reloading:
    """Has Dagster load the registry anew, from a thread: the server that does it is the one that this runs in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last = -math.inf
        self._is_known = False

    def ask(self) -> None:
        """Ask for it, unless that was done lately."""
        if time.monotonic() - self._last >= RELOAD_SECONDS:
            self._last = time.monotonic()
            threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        from tg_pipeline.dagster_client import webserver  # noqa: PLC0415 - brings HTTP, which runs need not wait for

        try:
            webserver.reload_code_location(webserver.webserver_url(self._settings.home))
        except webserver.WebserverError as error:
            if isinstance(error, webserver.NobodyAnswers):  # as while it is starting: the next tick tries again
                self._last = -math.inf
            if not self._is_known:
                log.warning("Commands for new chats wait until Dagster's code location is reloaded: %s", error)
            self._is_known = True
        else:
            self._is_known = False
