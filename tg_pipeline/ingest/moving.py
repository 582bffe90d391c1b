"""A basic group that became a supergroup: what it says last is that it did, and later days are the supergroup's."""

from datetime import date

from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.days import day_end, day_of, day_start
from tg_pipeline.contracts.history import History, Page


class Move:
    """What one fetch knows of it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._last_seen = -1
        self._at_newest = False

    def saw(self, page: Page) -> None:
        """Take note of a page. An empty one is the end of history."""
        self._at_newest = self._at_newest or not page.ids
        self._last_seen = max([self._last_seen, *page.timestamps[-1:]])

    def is_before(self, day: date) -> bool:
        """Whether the chat went on as another one before that day."""
        return self._is_known() and day_start(day) > self._last_seen

    def conditions(self, day: date) -> list[Condition]:
        """The condition of a day that is not whole because of it."""
        if self._is_known() and day_end(day) > self._last_seen:
            return [Condition(kind="moved", chat_id=self._history.moved_to)]
        return []

    def sentence(self, slug: str) -> str:
        """What to tell who asked for later days."""
        chat_id = self._history.moved_to
        last = "It has nothing new" if self._last_seen < 0 else f"Its last message is of {day_of(self._last_seen)}"
        return (
            f"{slug}: the group became a supergroup, {chat_id}, and goes on there. {last}; no file is written for "
            f"later days. Add the supergroup: tg-pipeline chats add {chat_id}"
        )

    def _is_known(self) -> bool:
        return self._history.moved_to is not None and self._at_newest
