"""Events: what other services hear of commands and runs.

`schemas/event.schema.json` is made of this model; `docs/commands.md` shows an event of every kind.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

EVENT_SCHEMA_VERSION: Final = "1.0.0"

EventName = Literal["started", "progress", "completed", "failed"]
Status = Literal["running", "success", "failed", "canceled", "rejected", "duplicate"]


class Event(BaseModel):
    """Something that happened to a command, or to a run that no command caused.

    Of each command: one `started`, any number of `progress`, one `completed` or `failed`. Of a rejected one: `failed`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal["1.0.0"] = Field(
        default=EVENT_SCHEMA_VERSION,
        description="Raised when a field changes its meaning or goes away. New ones may come without that.",
    )
    event: EventName = Field(description="completed and failed are the last ones of their command.")
    command_id: str = Field(
        description="The command's, in lower case; the one made up where it had none. Of a run that no command caused, "
        "the run's id (where it fetches several chats, `<run id>:<slug>`, for each of them)."
    )
    chat: str | None = Field(description="As the command named it. Null where a rejected command named none.")
    mode: str | None = Field(
        description="date, days or range. Of a rejected command whatever it said; null where that is no text."
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="The command's other fields, without those that were left out. Empty for a rejected command.",
    )
    processed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Messages in the days committed so far, each day counted once."
    )
    errors: Annotated[int, Field(ge=0)] = Field(default=0, description="Runs that failed; 1 for a rejected command.")
    duration_sec: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Seconds from `started` to this event, with retries and the pauses between runs.",
    )
    status: Status = Field(
        description="started: running. progress: running, or duplicate (the answer to an id that was used before). "
        "completed: success. failed: failed, canceled (taken back, canceled in Dagster, or its chat is gone), "
        "rejected (it could not be read, or not be carried out)."
    )
    ts: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")] = Field(
        description="When it happened, UTC."
    )
    slug: str | None = Field(default=None, description="The chat's name in paths and asset keys.")
    run_id: str | None = Field(
        default=None,
        description="Dagster's run; of completed and failed its last attempt, where the command is one run.",
    )
    backfill_id: str | None = Field(default=None, description="Dagster's backfill.")
    day: str | None = Field(default=None, description="Of progress: the UTC day committed last.")
    days_done: int | None = Field(default=None, description="Days committed so far.")
    days_total: int | None = Field(default=None, description="The days that the command comes to.")
    error_type: str | None = Field(default=None, description="Of failed: a name for programs.")
    message: str | None = Field(default=None, description="A sentence for people.")
    field: str | None = Field(
        default=None,
        description="Of a rejected command: which field is wrong, as a dotted path; left out where it is no object ...",
    )
    value: str | None = Field(default=None, description="... what was found there, cut short ...")
    allowed: str | None = Field(default=None, description="... and what may be there.")
    duplicate_of: str | None = Field(default=None, description="The id of the command whose outcome this one gets.")
    outcome: dict[str, Any] | None = Field(
        default=None,
        description="Of duplicate: the last event of the command that had the id first; left out until that has ended.",
    )

    def dump(self) -> str:
        """As JSON; what is not set is left out, except for what every event has."""
        always = {"chat", "mode"}
        data = self.model_dump(mode="json")
        return orjson.dumps({k: v for k, v in data.items() if v is not None or k in always}).decode()


def seconds_between(first: str, last: str) -> float:
    """Seconds from one timestamp to a later one; 0 where clocks disagree about which is later."""
    return max(0.0, (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds())


def timestamp(moment: float | None = None) -> str:
    """`2025-01-31T23:59:59.123Z`; of now, or of POSIX seconds."""
    when = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
