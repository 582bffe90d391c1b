"""What was pushed as a command: accepted with the days that it comes to, or rejected with the reason."""

import json
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tg_pipeline.app.command_chats import CommandChats
from tg_pipeline.bus.queue import CommandQueue, Taken
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import Command, CommandError, Strategy, parse_command, plan

log = logging.getLogger(__name__)


def accept_or_reject(queue: CommandQueue, taken: Taken, chats: CommandChats, strategy: Strategy) -> str:
    """Accept or reject a command in the queue; "rejected", or what `CommandQueue.accept` says became of it.

    `strategy` is that of commands that name none.
    """
    command: Command | None = None
    log.debug("Command number %s is taken from the list: %d bytes.", taken.seq, taken.size)
    try:
        command = parse_command(taken.raw, taken.size)
        accepted = _accepted(command, chats, strategy)
        log.debug(
            "%s asks for: strategy %s, force %s, priority %d.",
            *(named(accepted), accepted.strategy, accepted.force, accepted.priority),
            extra=log_fields(accepted),
        )
    except CommandError as error:
        known = {"command_id": str(uuid4())} | _about(taken, command)
        queue.reject(taken, error, about=known)
        log.info(
            "Command %s is rejected: %s", known["command_id"], error, extra={**known, "error_type": error.error_type}
        )
        return "rejected"
    became = queue.accept(taken, command, accepted)
    log.info("%s is %s.", named(accepted), became, extra=log_fields(accepted))
    return became


def named(command: AcceptedCommand) -> str:
    """The command as log lines name it."""
    return f"Command {command.id} ({command.slug}, {command.days})"


def log_fields(command: AcceptedCommand) -> dict[str, str]:
    """What log lines about a command say of it."""
    return {"command_id": command.id, "chat": command.slug, "mode": command.mode}


def _accepted(command: Command, chats: CommandChats, strategy: Strategy) -> AcceptedCommand:
    chat, now = chats.named(command.chat), datetime.now(UTC)
    planned = plan(command, today=now.date(), start=chat.start or chats.start)
    return AcceptedCommand(
        id=command.command_id or str(uuid4()),
        slug=chat.slug,
        chat=command.chat,
        mode=command.mode,
        params=command.params,
        first=planned.days.first,
        last=planned.days.last,
        strategy=command.strategy or strategy,
        **command.options.known,
        clamped=planned.clamped,
        ignored_options=command.options.ignored,
        accepted=int(now.timestamp() * 1_000),
    )


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
    found = {key: given.get(key) for key in ("command_id", "chat", "mode")}
    texts = {
        key: value.encode(errors="replace").decode()[:256]
        for key, value in found.items()
        if isinstance(value, str) and value
    }
    return texts | ({"command_id": texts["command_id"].lower()} if "command_id" in texts else {})
