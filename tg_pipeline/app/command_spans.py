"""Spans of commands and their backfills. All processes know them by the command's id, so a run needs only its tags."""

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.launcher import Outcome
from tg_pipeline.observability import traces
from tg_pipeline.observability.traces import SpanId


def trace_command(command: AcceptedCommand, found: Outcome, now: float) -> None:
    """Send the spans of a command that is over, and of its backfill. `now` in POSIX seconds."""
    if not traces.is_tracing():
        return
    about: dict[str, str | int] = {
        "tg.command_id": command.id,
        "tg.chat": command.slug,
        "tg.mode": command.mode,
        "tg.strategy": command.strategy,
        "tg.days": len(command.days),
        "tg.messages": found.processed,
        "tg.status": found.status,
    }
    between, error = (command.accepted / 1_000, now), found.error_type
    traces.record("command", about, _of_command(command), None, between=between, error=error)
    if command.backfill_id is not None:
        about["dagster.backfill_id"] = command.backfill_id
        traces.record("backfill", about, above_runs(command), _of_command(command), between=between, error=error)


def above_runs(command: AcceptedCommand) -> SpanId:
    """The parent of the command's runs: its backfill where it has one, else the command."""
    if command.backfill_id is None:
        return _of_command(command)
    return SpanId.of(command.id, "backfill", command.accepted)


def _of_command(command: AcceptedCommand) -> SpanId:
    return SpanId.of(command.id, "command", command.accepted)
