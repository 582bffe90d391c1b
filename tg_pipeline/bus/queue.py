"""The queue of commands and the events about them, as Redis holds both.

Anybody who can push to a list can send commands; any number of readers may take them. All steps are scripts (see
`scripts`), so that a reader that is killed leaves nothing half done: what it had taken, the next one takes again.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from tg_pipeline.bus import scripts
from tg_pipeline.bus.scripts import CHANNEL, COMMANDS, ENDED, LOG, PUBLISHED
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import MAX_COMMAND_BYTES, Command, CommandError
from tg_pipeline.contracts.events import Event, seconds_between, timestamp
from tg_pipeline.state.redis_client import ask, redis_client

T = TypeVar("T")

log = logging.getLogger(__name__)

DEAD_LETTERS_KEPT = 10_000
BEGINNING_BYTES = 1_024
BATCH_BYTES = 8_000_000
OWNER_SECONDS = 120
"""A reader that was not heard of for so long is dead; others take over what it had launched."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Something pushed. `raw` is only its beginning where `size` says that there was more."""

    seq: str
    size: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class InFlight:
    """A command that was launched, or is about to be, by `owner`; `claimed` in POSIX seconds."""

    command: AcceptedCommand
    owner: str
    claimed: float
    ended: str | None = None
    """Its last event, "completed" or "failed", where that is out."""


class Oldest(NamedTuple):
    """POSIX seconds, or None where there is none of these."""

    untaken: float | None
    """Since when what was pushed has waited for a reader."""
    accepted: float | None
    """When the oldest command was accepted that waits or is in flight."""


class CommandQueue:
    """Commands and events in the Redis at `url`. Every method raises StateUnavailable.

    `ttl_seconds` is how long after its end a command is remembered, to answer its repetitions.
    """

    def __init__(self, url: str, *, ttl_seconds: int = 1_800) -> None:
        self._redis: Any = redis_client(url)
        self.ttl_seconds = ttl_seconds
        self._scripts: dict[str, Any] = {}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    # --- taking ---------------------------------------------------------------------------------------------------

    def push(self, text: str | bytes) -> None:
        """As any client does."""
        self._run(lambda: self._redis.rpush(COMMANDS, text))

    def take(self, count: int) -> list[Taken]:
        """Up to `count` commands to accept or reject: first those that a reader took and did not come to."""
        found = self._script(scripts.TAKE, count, BATCH_BYTES, MAX_COMMAND_BYTES, BEGINNING_BYTES)
        return [Taken(seq.decode(), int(size), raw) for seq, size, raw in found]

    def reject(self, taken: Taken, error: CommandError, *, about: Mapping[str, Any]) -> bool:
        """Put it among the dead letters and publish that. `about` are those fields of the event that could be read.

        An id that was rejected before is answered as a duplicate: its last event is out.
        """
        moment = timestamp()
        named = about.get("command_id")
        event = Event(
            event="failed",
            status="rejected",
            command_id=named or str(uuid4()),
            chat=about.get("chat"),
            mode=about.get("mode"),
            errors=1,
            ts=moment,
            error_type=error.error_type,
            message=str(error),
            field=error.field or None,
            value=error.value,
            allowed=error.allowed or None,
        )
        again = Event(
            event="progress",
            status="duplicate",
            command_id=event.command_id,
            chat=event.chat,
            mode=event.mode,
            ts=moment,
            duplicate_of=event.command_id,
        )
        letter = {
            "seq": taken.seq,
            "at": moment,
            "error_type": error.error_type,
            "reason": str(error),
            "size": taken.size,
            "raw": taken.raw.decode(errors="backslashreplace"),
        }
        arguments = (taken.seq, event.dump(), str(uuid4()), json.dumps(letter), DEAD_LETTERS_KEPT)
        return bool(self._script(scripts.REJECT, *arguments, again.dump() if named else "", self.ttl_seconds))

    def accept(self, taken: Taken, command: Command, accepted: AcceptedCommand) -> str:
        """Let it wait for its launch: "waiting". Or, where it need not be launched, "duplicate" or "coalesced".

        "gone" where another reader did it meanwhile.
        """
        key = hashlib.sha256(command.idempotency_key.encode()).hexdigest()[:32] if command.idempotency_key else ""
        named = command.command_id is not None or command.idempotency_key is not None
        record = {
            "command": accepted.model_dump_json(),
            "slug": accepted.slug,
            "priority": str(accepted.priority),
            "key": key,
            "content": accepted.content_key,
            "named": str(int(named)),
            "ttl": str(self.ttl_seconds),
        }
        started = accepted.event("started", "running").dump()
        again = accepted.event("progress", "duplicate", duplicate_of=accepted.id).dump()
        return str(self._script(scripts.ACCEPT, taken.seq, accepted.id, json.dumps(record), started, again).decode())

    # --- launching ------------------------------------------------------------------------------------------------

    def due(self) -> list[AcceptedCommand]:
        """What may be launched: of each chat without a command in flight the first, in the order of their turns."""
        heads = [
            (float(score) // 1e12, float(served), id_.decode()) for _, id_, score, served in self._script(scripts.DUE)
        ]
        return self._commands([id_ for _, _, id_ in sorted(heads)])

    def claim(self, command: AcceptedCommand, owner: str) -> bool:
        """Take it out of the waiting ones to launch it; False where another reader did."""
        entry = _entry(command, owner, time.time())
        return bool(self._script(scripts.CLAIM, command.id, command.slug, entry, int(time.time() * 1_000)))

    def in_flight(self) -> list[InFlight]:
        """Every command that was claimed and not released. An entry that is none holds up no other."""
        entries: Mapping[bytes, bytes] = self._run(lambda: self._redis.hgetall(f"{COMMANDS}:in_flight"))
        ended = self._ended([id_.decode() for id_ in entries])
        flights = []
        for id_, entry in entries.items():
            try:
                flights.append(_flight(entry, ended.get(id_.decode())))
            except (ValueError, KeyError, TypeError):
                log.warning("%s:in_flight holds what is no command under %r. Remove it: HDEL.", COMMANDS, id_)
        return flights

    def adopt(self, flight: InFlight, owner: str) -> InFlight | None:
        """Take over what a reader had launched that is dead; None while it lives, or where another was faster."""
        if self._run(lambda: self._redis.exists(f"{COMMANDS}:owner:{flight.owner}")):
            return None
        was = _entry(flight.command, flight.owner, flight.claimed)
        taken = replace(flight, owner=owner, claimed=time.time())
        now = _entry(taken.command, taken.owner, taken.claimed)
        return taken if self._script(scripts.ADOPT, flight.command.id, was, now) else None

    def beat(self, owner: str) -> None:
        """Say that this reader lives."""
        self._run(lambda: self._redis.set(f"{COMMANDS}:owner:{owner}", "1", ex=OWNER_SECONDS))

    def release(self, command: AcceptedCommand) -> None:
        """Nothing of it runs any more: the chat's next command may be launched."""
        self._script(scripts.RELEASE, command.id, command.slug)

    # --- events ---------------------------------------------------------------------------------------------------

    def start(self, started: Event) -> bool:
        """Publish `started`, if none of that id is out; whether it was published."""
        return bool(self._script(scripts.START, started.command_id, started.dump()))

    def progress(self, event: Event, days: Mapping[str, int]) -> bool:
        """Count the messages of the days, and publish `event` with the sums if the last one is a second old."""
        event = self._timed(event, None)
        pairs = [word for day, count in days.items() for word in (day, count)]
        return bool(self._script(scripts.PROGRESS, event.command_id, event.dump(), *pairs))

    def finish(self, ended: Event, *, started: Event | None) -> bool:
        """Publish the last event, after `started` if that is not out yet; False where a last one was published.

        Commands that wait for this one's outcome get it too.
        """
        begun = started.dump() if started else ""
        return bool(self._script(scripts.FINISH, ended.command_id, begun, self._timed(ended, started).dump()))

    def events(self, since: str = "0-0", *, block_seconds: float | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Events of the log after the entry `since` ("$": from now on), with their entries' ids.

        Waits for `block_seconds` where there is none.
        """
        block = None if block_seconds is None else int(block_seconds * 1_000)
        found = self._run(lambda: self._redis.xread({LOG: since}, count=1_000, block=block))
        return [
            (entry.decode(), json.loads(fields[b"event"])) for _, entries in found or [] for entry, fields in entries
        ]

    def last_entry(self) -> str:
        """The newest entry of the log; `0-0` where it is empty."""
        newest = self._run(lambda: self._redis.xrevrange(LOG, count=1))
        return newest[0][0].decode() if newest else "0-0"

    def last_events(self, count: int) -> list[dict[str, Any]]:
        """The newest `count` events of the log, in the order of their happening."""
        found = self._run(lambda: self._redis.xrevrange(LOG, count=count)) if count else []
        return [json.loads(fields[b"event"]) for _, fields in reversed(found)]

    def listen(self) -> Iterator[dict[str, Any] | None]:
        """Events as they are published; None where there was none for half a second. For ever."""
        with closing(self._run(self._redis.pubsub)) as channel:
            self._run(lambda: channel.subscribe(CHANNEL))
            while True:
                message = self._run(lambda: channel.get_message(timeout=0.5))
                is_event = message is not None and message["type"] == "message"
                yield json.loads(message["data"]) if is_event else None

    # --- looking --------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """How many commands are where."""

        def ask() -> Sequence[int]:
            with self._redis.pipeline() as pipe:
                pipe.llen(COMMANDS)
                pipe.hlen(f"{COMMANDS}:processing")
                pipe.hlen(f"{COMMANDS}:in_flight")
                pipe.llen(f"{COMMANDS}:dead")
                found: Sequence[int] = pipe.execute()
                return found

        pushed, processing, in_flight, dead = self._run(ask)
        return {
            "pushed": pushed + processing,
            "waiting": sum(self._run(self._waiting).values()),
            "in_flight": in_flight,
            "dead": dead,
        }

    def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many commands ended in each status, and how many events of each kind were published; ever."""
        ended, published = self._run(lambda: (self._redis.hgetall(ENDED), self._redis.hgetall(PUBLISHED)))
        return (
            {status.decode(): int(number) for status, number in ended.items()},
            {event.decode(): int(number) for event, number in published.items()},
        )

    def oldest(self) -> Oldest:
        """Since when commands are on their way that have not ended.

        Clients date no command: the first call that finds some pushed remembers it until a reader takes one.
        """
        untaken, accepted = self._script(scripts.OLDEST, int(time.time() * 1_000))
        return Oldest(*(int(moment) / 1_000 if moment else None for moment in (untaken, accepted)))

    def ping(self) -> None:
        """Ask whether it is there."""
        self._run(self._redis.ping)

    def waiting(self, limit: int = 1_000) -> list[AcceptedCommand]:
        """Accepted commands in no flight yet, chat by chat in their order."""
        ids: list[str] = []
        for slug in self._run(self._waiting):
            found = self._run(lambda slug=slug: self._redis.zrange(f"{COMMANDS}:waiting:{slug}", 0, limit - 1))  # type: ignore[misc]
            ids += [id_.decode() for id_ in found]
        return self._commands(ids[:limit])

    def pushed(self, limit: int = 100) -> list[bytes]:
        """What nobody has taken yet, cut short."""
        return [raw[:BEGINNING_BYTES] for raw in self._run(lambda: self._redis.lrange(COMMANDS, 0, limit - 1))]

    def dead(self, limit: int = DEAD_LETTERS_KEPT) -> list[dict[str, Any]]:
        """Rejected commands, the newest first: `seq`, `at`, `error_type`, `reason`, `size`, `raw`."""
        return [
            json.loads(letter) for letter in self._run(lambda: self._redis.lrange(f"{COMMANDS}:dead", 0, limit - 1))
        ]

    def show(self, id_: str) -> dict[str, Any] | None:
        """What is known of the command of that id: its record, and its first and last event."""
        record, marks = self._run(
            lambda: (self._redis.hgetall(f"{COMMANDS}:record:{id_}"), self._redis.hgetall(f"tg_events:marks:{id_}"))
        )
        if not record and not marks:
            return None
        found = {name.decode(): value.decode() for name, value in record.items()}
        return {"record": found, **{name.decode(): json.loads(value) for name, value in marks.items()}}

    def drop(
        self,
        command: AcceptedCommand,
        error_type: str = "Dropped",
        message: str = "Taken back before it was launched.",
    ) -> bool:
        """Take back a command that waits; False where it does not wait any more."""
        ended = command.event("failed", "canceled", error_type=error_type, message=message)
        return bool(self._script(scripts.DROP_WAITING, command.id, command.slug, ended.dump()))

    def retry_dead(self, letter: Mapping[str, Any]) -> bool:
        """Push a rejected command again, as it was; False where it is there no more."""
        return bool(self._script(scripts.RETRY_DEAD, json.dumps(letter), letter["raw"]))

    def drop_dead(self, letter: Mapping[str, Any]) -> bool:
        """Forget a rejected command."""
        return bool(self._run(lambda: self._redis.lrem(f"{COMMANDS}:dead", 1, json.dumps(letter))))

    # --------------------------------------------------------------------------------------------------------------

    def _timed(self, event: Event, started: Event | None) -> Event:
        """The event with its duration: since the `started` that is out, whichever run published it, else this one."""
        mark = self._run(lambda: self._redis.hget(f"tg_events:marks:{event.command_id}", "started"))
        began = json.loads(mark)["ts"] if mark else (started or event).ts
        return event.model_copy(update={"duration_sec": seconds_between(began, event.ts)})

    def _commands(self, ids: Sequence[str]) -> list[AcceptedCommand]:
        def ask() -> Sequence[bytes | None]:
            with self._redis.pipeline(transaction=False) as pipe:
                for id_ in ids:
                    pipe.hget(f"{COMMANDS}:record:{id_}", "command")
                found: Sequence[bytes | None] = pipe.execute()
                return found

        commands = []
        for id_, command in zip(ids, self._run(ask) if ids else [], strict=True):
            try:
                commands += [AcceptedCommand.model_validate_json(command)] if command else []
            except ValueError:
                log.warning("%s:record:%s holds no command that can be read. Remove it: DEL.", COMMANDS, id_)
        return commands

    def _ended(self, ids: Sequence[str]) -> dict[str, str]:
        """The last event of each that has ended."""

        def ask() -> Sequence[bytes | None]:
            with self._redis.pipeline(transaction=False) as pipe:
                for id_ in ids:
                    pipe.hget(f"tg_events:marks:{id_}", "ended")
                found: Sequence[bytes | None] = pipe.execute()
                return found

        return {
            id_: json.loads(event)["event"]
            for id_, event in zip(ids, self._run(ask) if ids else [], strict=True)
            if event is not None
        }

    def _waiting(self) -> dict[str, int]:
        slugs = [slug.decode() for slug in self._redis.zrange(f"{COMMANDS}:chats", 0, -1)]
        return {slug: self._redis.zcard(f"{COMMANDS}:waiting:{slug}") for slug in slugs}

    def _script(self, text: str, *arguments: Any) -> Any:
        script = self._scripts.setdefault(text, self._redis.register_script(text))
        return self._run(lambda: script(args=arguments))

    def _run(self, work: Callable[[], T]) -> T:
        return ask(self._redis, work, scripts.TYPES)


def _entry(command: AcceptedCommand, owner: str, claimed: float) -> str:
    return json.dumps({"owner": owner, "claimed": claimed, "command": command.model_dump_json()})


def _flight(entry: bytes, ended: str | None) -> InFlight:
    found = json.loads(entry)
    return InFlight(AcceptedCommand.model_validate_json(found["command"]), found["owner"], found["claimed"], ended)
