"""The records of a day as lines of JSON, and what follows from its messages: who wrote, and which threads there are."""

from array import array
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import orjson

_ID_BITS = 32
"""Message ids are 32-bit on the wire."""
INDEXED = ("from_id", "reply_to", "reply_to_chat", "thread_id", "topic")
"""The fields of a message that an index is made of."""
_ID_MASK = (1 << _ID_BITS) - 1


def encode(record: dict[str, Any]) -> bytes:
    """The record as one line without its newline. What JSON cannot hold is replaced, never refused.

    A copy, because what orjson gives occupies a page of memory or more for as long as it lives, however short it is:
    a hundred of them in a list cost eight times the time, and those of a whole day its memory.
    """
    try:
        line = orjson.dumps(record)
    except TypeError:
        line = orjson.dumps(_cleaned(record))
    return bytes(memoryview(line))


def _cleaned(value: Any) -> Any:
    """The value with lone surrogates as U+FFFD (one UTF-16 unit too, so that entity offsets hold), the rest as text."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_cleaned(str(key)): _cleaned(item) for key, item in value.items()}
        case list() | tuple():
            return [_cleaned(item) for item in value]
        case None | bool() | float():
            return value
        case int() if -(2**63) <= value < 2**64:
            return value
        case _:
            return str(value)


def message_id(line: bytes) -> int:
    """The id of a message line. The mapper writes it first, so that the line need not be parsed."""
    if line.startswith(b'{"id":'):
        return int(line[6 : line.index(b",", 6)])
    return cast("int", orjson.loads(line)["id"])


class DayIndex:
    """Authors and threads of the messages added so far, in 8 bytes a reply and one set entry an author."""

    def __init__(self) -> None:
        self.authors: set[int] = set()
        self.replies = array("Q")
        self.topics: set[int] = set()

    def add(self, message_id: int, body: dict[str, Any]) -> None:
        """Take in one message, in any order, each once."""
        author = body["from_id"]
        if author is not None:
            self.authors.add(author)
        root = body.get("thread_id")
        if root is None and not body.get("reply_to_chat"):
            root = body.get("reply_to")
        if root is not None and 0 < root <= _ID_MASK:
            self.replies.append(root << _ID_BITS | message_id)
            if body.get("topic"):
                self.topics.add(root)

    def joined(self, other: "DayIndex") -> "DayIndex":
        """Both together; they have no message in common."""
        both = DayIndex()
        both.authors = self.authors | other.authors
        both.replies = self.replies + other.replies
        both.topics = self.topics | other.topics
        return both

    def thread_lines(self) -> Iterator[bytes]:
        """One `contracts.day_file.Thread` per root, ascending by id, as JSON."""
        pairs = ((key >> _ID_BITS, key & _ID_MASK) for key in sorted(self.replies))
        for root, group in groupby(pairs, key=itemgetter(0)):
            ids = [message_id for _, message_id in group]
            yield encode(
                {
                    "id": root,
                    "topic": root in self.topics,
                    "message_count": len(ids),
                    "first_message_id": ids[0],
                    "last_message_id": ids[-1],
                }
            )
