"""A command that was accepted, and the days that it comes to."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date as Date  # noqa: N812 - a field is named `date`, which would hide the type
from typing import Any

from pydantic import ConfigDict

from tg_pipeline.contracts.commands import Mode, Options, Params, Strategy
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.events import Event, EventName, Status, timestamp


class AcceptedCommand(Options):
    """A command that is carried out: what runs, sensors and events know of it.

    `accepted` is POSIX milliseconds. `first` and `last` are days that exist for the chat; `clamped` says that earlier
    ones were asked for. A run that no command caused has events as if it were one, whose id is the run's.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=False)

    id: str
    slug: str
    chat: str
    mode: Mode
    params: Params
    first: Date
    last: Date
    strategy: Strategy = "batch"
    clamped: bool = False
    ignored_options: tuple[str, ...] = ()
    accepted: int = 0

    @property
    def days(self) -> DayRange:
        """What is fetched."""
        return DayRange(self.first, self.last)

    @property
    def backfill_id(self) -> str | None:
        """Of the backfill that it is carried out by; follows from the command, so that it cannot be submitted twice.

        None where it is a run, and where no command caused it.
        """
        return f"{self.id}.{self.accepted}" if self.accepted and len(self.days) > 1 else None

    @property
    def content_key(self) -> str:
        """The same for commands that ask for the same: of the options all count but the priority."""
        options = self.model_dump(include=set(Options.model_fields) - {"priority"})
        text = json.dumps([self.slug, str(self.first), str(self.last), self.strategy, options])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def event(self, event: EventName, status: Status, **more: Any) -> Event:
        """An event about it, of now unless `ts` is given."""
        facts: dict[str, Any] = {
            "ts": timestamp(),
            "slug": self.slug,
            "days_total": len(self.days),
            "backfill_id": self.backfill_id,
        }
        if event == "started":
            facts["message"] = " ".join(self._notes()) or None
        return Event(
            event=event,
            status=status,
            command_id=self.id,
            chat=self.chat,
            mode=self.mode,
            params=self.params,
            **(facts | more),
        )

    def _notes(self) -> Iterator[str]:
        """What the event started says of what was asked for and is not done."""
        if self.clamped:
            yield f"Days before {self.first}, the chat's first, were left out."
        if self.ignored_options:
            yield f"Unknown options were ignored: {', '.join(self.ignored_options)}."
