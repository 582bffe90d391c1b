"""The port through which commands are launched, and what became of one that is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.events import Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command, or a run, ended.

    `processed` are messages; `began` and `ended` in POSIX seconds, None where no run began or none says when it ended;
    `run_id` is the last attempt's, where it was one run. `days` are those that the runs committed, as YYYY-MM-DD.
    """

    status: Status
    processed: int
    errors: int
    began: float | None
    ended: float | None
    run_id: str | None = None
    error_type: str | None = None
    message: str | None = None
    days: frozenset[str] = frozenset()


class Launcher(Protocol):
    """Launches commands and follows their runs. What is launched twice runs once."""

    def is_loaded(self, slug: str, first: date, last: date) -> bool:
        """Whether the launcher knows the chat and both days, so that commands for them can be launched."""
        ...

    def launch(self, command: AcceptedCommand) -> None:
        """Have the command's days fetched."""
        ...

    def is_launched(self, command: AcceptedCommand) -> bool:
        """Whether the command was launched, however long ago."""
        ...

    def is_over(self, command: AcceptedCommand) -> bool:
        """Whether nothing of a launched command runs, and nothing will unless it is launched again."""
        ...

    def dead_runs(self, command: AcceptedCommand) -> Sequence[str]:
        """Ids of the command's runs that died and may be launched again; none once it is canceled."""
        ...

    def launch_again(self, run_id: str) -> None:
        """Launch a run again that died."""
        ...

    def cancel(self, command: AcceptedCommand) -> None:
        """Launch nothing more of a launched command. Runs of a backfill end; a run of its own if it still waits."""
        ...

    def outcome(self, command: AcceptedCommand) -> Outcome:
        """What became of a command that is over."""
        ...
