"""Two reads of one day become one: what a later read says about messages that were archived before."""

from collections.abc import Callable, Collection, Iterable, Iterator

import orjson

from tg_pipeline.contracts.day_file import UNREADABLE, Condition
from tg_pipeline.contracts.day_lines import INDEXED, DayIndex, encode, message_id
from tg_pipeline.storage.ownership import differ
from tg_pipeline.storage.reread import reread


class Merge:
    """A merge join of day-file lines, both sides ascending by id, in bounded memory.

    `deleted_at` is the moment up to which the new read saw history: earlier messages that it lacks were deleted by
    then, later ones it could not see. None keeps all as they are, for a new read that is known to be a part only.
    Placeholders of ids in `decoded` go: their messages are archived on another day.
    Messages below `first_id` of the condition `hidden` (all, where it names none) are not visible to the new read. So
    are those whose ids the new read does not cover. After `lines()` has been exhausted the rest says what happened;
    `kept` indexes the archived messages that are not in the new read, `hidden` counts those of them that it could not
    see; where `index_is_stale`, an author or a thread was known better before, and the new read's index misses it;
    `other` is the first id that stands for another message in the new read.
    """

    def __init__(
        self,
        deleted_at: str | None,
        *,
        hidden: Condition | None = None,
        covers: Callable[[int], bool] | None = None,
        decoded: Collection[int] = (),
    ) -> None:
        self._deleted_at = deleted_at
        self._decoded = decoded
        self._covers = covers
        self._is_hidden = hidden is not None
        self._first_visible = hidden.first_id if hidden else None
        self.hidden = 0
        self.edited = 0
        self.deleted = 0
        self.matched = 0
        self.other: int | None = None
        self.index_is_stale = False
        self.kept = DayIndex()
        self.kept_ids: list[int] = []
        self.known_ids: set[int] = set()
        """The archived messages that the new read could not decode, which stay."""
        self.unreadable: set[int] = set()
        """The ids of archived placeholders that were kept, but for those whose messages were deleted."""

    def lines(self, old: Iterable[bytes], new: Iterable[bytes]) -> Iterator[bytes]:
        """The joined lines. A ValueError where the archived ones do not ascend."""
        fresh = iter(new)
        line = next(fresh, None)
        number = message_id(line) if line is not None else None
        previous = 0
        for archived in old:
            archived_number = message_id(archived)
            if archived_number <= previous:
                raise ValueError(f"message {archived_number} stands after {previous}")
            previous = archived_number
            while line is not None and number is not None and number < archived_number:
                yield line
                line = next(fresh, None)
                number = message_id(line) if line is not None else None
            if line is not None and number == archived_number:
                self.matched += 1
                yield line if line == archived else self._updated(archived_number, archived, line)
                line = next(fresh, None)
                number = message_id(line) if line is not None else None
            elif (kept := self._kept(archived_number, archived)) is not None:
                yield kept
        if line is not None:
            yield line
            yield from fresh

    def _updated(self, number: int, archived: bytes, line: bytes) -> bytes:
        old = orjson.loads(archived)
        new = orjson.loads(line)
        if new.get("type") == UNREADABLE != old.get("type"):
            self.known_ids.add(number)
        if self.other is None and differ(old, new):
            self.other = number
        message, changed = reread(old, new)
        self.edited += changed
        if not self.index_is_stale:
            self.index_is_stale = any(message.get(key) != new.get(key) for key in INDEXED)
        return encode(message)

    def _kept(self, number: int, archived: bytes) -> bytes | None:
        message = orjson.loads(archived)
        is_placeholder = message.get("type") == UNREADABLE
        if is_placeholder and number in self._decoded:
            return None
        self.kept.add(number, message)
        self.kept_ids.append(number)
        if not message["deleted"] and self._lacks(number, message["date"]):
            self.deleted += 1
            return encode(message | {"deleted": True, "deleted_at": self._deleted_at})
        if is_placeholder and not message["deleted"]:
            self.unreadable.add(number)
        return archived

    def _lacks(self, number: int, date: str) -> bool:
        """Whether the new read would have the archived message if there still were one."""
        if self._deleted_at is None or date >= self._deleted_at:
            return False
        if self._is_hidden and (self._first_visible is None or number < self._first_visible):
            self.hidden += 1
            return False
        return self._sees(number)

    def _sees(self, number: int) -> bool:
        return self._covers is None or self._covers(number)
