"""A launcher that keeps what it launched in memory; a test says how that ends."""

from collections.abc import Sequence
from datetime import date

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.launcher import Outcome

SUCCESS = Outcome("success", processed=30, errors=0, began=1.0, ended=2.0)


class MemoryLauncher:
    """Knows the chats `loaded` from the day `start` on. Launches nothing while `is_away`."""

    def __init__(self, *loaded: str, start: date) -> None:
        self.loaded = set(loaded)
        self.start = start
        self.is_away = False
        self.launched: list[AcceptedCommand] = []
        self.ends: dict[str, Outcome] = {}
        self.dead: dict[str, str] = {}
        self.canceled: list[AcceptedCommand] = []

    def is_loaded(self, slug: str, first: date, last: date) -> bool:
        return slug in self.loaded and self.start <= first <= last

    def launch(self, command: AcceptedCommand) -> None:
        if not self.is_away and command not in self.launched:
            self.launched.append(command)

    def is_launched(self, command: AcceptedCommand) -> bool:
        return command in self.launched

    def is_over(self, command: AcceptedCommand) -> bool:
        return command.id in self.ends

    def dead_runs(self, command: AcceptedCommand) -> Sequence[str]:
        return [run_id for run_id, id_ in self.dead.items() if id_ == command.id]

    def launch_again(self, run_id: str) -> None:
        del self.dead[run_id]

    def cancel(self, command: AcceptedCommand) -> None:
        self.canceled.append(command)

    def outcome(self, command: AcceptedCommand) -> Outcome:
        return self.ends[command.id]
