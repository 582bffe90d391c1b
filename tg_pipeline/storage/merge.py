"""Two reads of one day become one: what a later read says about messages that were archived before."""

from collections.abc import Iterable, Iterator

import orjson

from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.storage.day_index import INDEXED, DayIndex
from tg_pipeline.storage.layout import encode, message_id
from tg_pipeline.storage.reread import reread


class Merge:
    """A merge join of day-file lines, both sides ascending by id, in bounded memory.

    `deleted_at` is the moment up to which the new read saw history: earlier messages that it lacks were deleted by
    then, later ones it could not see. None keeps all as they are, for a new read that is known to be a part only.
    Messages below `first_id` of the condition `hidden` (all, where it names none) are not visible to the new read.
    After `lines()` has been exhausted the rest tells what happened; `kept` indexes the archived messages that are not
    in the new read, `hidden` counts those of them that it could not see; where `index_is_stale`, an author or a thread
    was known better before, and the new read's index misses it.
    """

    def __init__(self, deleted_at: str | None, *, hidden: Condition | None = None) -> None:
        self._deleted_at = deleted_at
        self._is_hidden = hidden is not None
        self._first_visible = hidden.first_id if hidden else None
        self.hidden = 0
        self.edited = 0
        self.deleted = 0
        self.matched = 0
        self.index_is_stale = False
        self.kept = DayIndex()
        self.kept_ids: list[int] = []

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
                yield line if line == archived else self._updated(archived, line)
                line = next(fresh, None)
                number = message_id(line) if line is not None else None
            else:
                yield self._kept(archived_number, archived)
        if line is not None:
            yield line
            yield from fresh

    def _updated(self, archived: bytes, line: bytes) -> bytes:
        new = orjson.loads(line)
        message, changed = reread(orjson.loads(archived), new)
        self.edited += changed
        if not self.index_is_stale:
            self.index_is_stale = any(message.get(key) != new.get(key) for key in INDEXED)
        return encode(message)

    def _kept(self, number: int, archived: bytes) -> bytes:
        message = orjson.loads(archived)
        self.kept.add(number, message)
        self.kept_ids.append(number)
        if self._deleted_at is None or message["deleted"] or message["date"] >= self._deleted_at:
            return archived
        if self._is_hidden and (self._first_visible is None or number < self._first_visible):
            self.hidden += 1
            return archived
        self.deleted += 1
        return encode(message | {"deleted": True, "deleted_at": self._deleted_at})
