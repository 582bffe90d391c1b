"""The last event of a command, or of a run that no command caused."""

from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.events import timestamp
from tg_pipeline.contracts.launcher import Outcome
from tg_pipeline.contracts.text import count


def publish_end(queue: CommandQueue, command: AcceptedCommand, found: Outcome) -> bool:
    """Publish the last event of what is over; False where one is out."""
    done = sum(str(day) in found.days for day in command.days)
    message = found.message
    if found.status == "success" and done < len(command.days):
        left_out = count(len(command.days) - done, "day")
        message = f"{left_out} left out: the chat's start in chats.yaml was moved beyond them."
    ended = command.event(
        "completed" if found.status == "success" else "failed",
        found.status,
        processed=found.processed,
        errors=found.errors,
        ts=timestamp(found.ended),
        run_id=found.run_id,
        days_done=done if found.status == "success" else None,
        error_type=found.error_type,
        message=message,
    )
    return queue.finish(ended, started=command.event("started", "running", ts=timestamp(found.began or found.ended)))
