"""A log line as programs read it: `schemas/log_line.schema.json` is made of this model; docs/logs.md shows lines."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

LOG_LINE_SCHEMA_VERSION: Final = "1.0.0"
"""Its first number is raised when a field goes or means something else."""


class LogLine(BaseModel):
    """One object a line. Fields that are not known are left out; their order is the order they are written in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ts: str = Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="When it was said, UTC, to the millisecond."
    )
    level: Literal["debug", "info", "warning", "error", "critical"] = Field(description="How bad it is.")
    event: str = Field(description="What happened: a sentence. Holds neither secrets nor texts of messages.")
    logger: str = Field(
        description="The module that says it; of what another program prints without one, stdout or stderr."
    )
    chat: str | None = Field(
        default=None, description="The chat it is about: its slug; of a rejected command, what it named."
    )
    command_id: str | None = Field(default=None, description="The command that caused it.")
    run_id: str | None = Field(default=None, description="The run of Dagster's that it happened in.")
    mode: str | None = Field(default=None, description="The command's mode: date, days or range.")
    duration_ms: int | None = Field(default=None, ge=0, description="How long what has ended took. Milliseconds.")
    error_type: str | None = Field(default=None, description="The class of the error it is about.")
    exception: str | None = Field(default=None, description="A traceback, where something went wrong unforeseen.")
