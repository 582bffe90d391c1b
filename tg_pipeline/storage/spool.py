"""The messages of one day that were read and not committed yet, on local disk, safe from a killed process."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import orjson

from tg_pipeline.contracts.day_file import UNREADABLE
from tg_pipeline.contracts.day_lines import DayIndex, encode, message_id
from tg_pipeline.contracts.history import Record
from tg_pipeline.machine.atomic import make_directory, reading, writing

logger = logging.getLogger(__name__)

_BUFFER = 1 << 18


class DaySpool:
    """Two files, `<name>.messages` and `<name>.participants`, one record a line, appended to and never rewritten.

    Every append is handed to the operating system at once, so that a killed process loses nothing; there is no fsync,
    so that a power cut may tear the end off: a torn last line is cut away when the spool is opened again. A spool that
    is damaged before its end starts over, empty.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.message_count = 0
        self.first_id: int | None = None
        self.last_id: int | None = None
        """The highest id. A reader that goes on after it misses nothing."""
        self.index = DayIndex()
        self.unreadable: set[int] = set()
        """The ids of those that stand for messages which could not be decoded."""
        self.started_over = False
        """What an earlier process left was damaged before its end and thrown away."""
        self._ascending = True
        self._ids: set[int] | None = None
        self._participants: dict[int, bytes] = {}
        self._messages_path = directory / f"{name}.messages"
        self._participants_path = directory / f"{name}.participants"
        with writing(directory):
            make_directory(directory)
            self._participants_file = _Appended(self._participants_path)
            self._messages_file = _Appended(self._messages_path)
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and keep them."""
        self._messages_file.close()
        self._participants_file.close()

    def append(self, records: Sequence[Record], participants: Mapping[int, dict[str, Any]]) -> None:
        """Add messages, ascending by id as a rule; of the participants only those who wrote one of them are kept.

        Each as first described: what is said of somebody on every later page of a day is not even looked at.

        A ValueError where an id is there already, and a StorageError where the disk is full; nothing is added then.
        """
        self._refuse_repeated([record.id for record in records])
        lines = [encode(record.body) for record in records]
        authors = {author for record in records if (author := record.body["from_id"]) is not None}
        unknown = authors - self._participants.keys()
        news = {author: encode(known) for author in unknown if (known := participants.get(author)) is not None}
        with writing(self._messages_path):
            self._participants_file.append(list(news.values()))
            self._messages_file.append(lines)
        self._participants |= news
        for record in records:
            self._note(record.id, record.body)

    def clear(self) -> None:
        """Remove what is in it: it was put elsewhere."""
        with writing(self._messages_path):
            self._start_over()

    def __contains__(self, number: int) -> bool:
        if self.first_id is None or self.last_id is None or not self.first_id <= number <= self.last_id:
            return False
        if self._ids is None:
            self._ids = {message_id(line) for line in self.lines()}
        return number in self._ids

    def sync(self) -> None:
        """Put what was appended beyond the reach of a power cut."""
        with writing(self._messages_path):
            self._participants_file.sync()
            self._messages_file.sync()

    def lines(self) -> Iterator[bytes]:
        """The messages, ascending by id, in bounded memory."""
        with reading(self._messages_path), self._messages_path.open("rb", buffering=_BUFFER) as stream:
            if self._ascending:
                for line in stream:
                    yield line[:-1]
                return
            places = []
            place = 0
            for line in stream:
                places.append((message_id(line), place))
                place += len(line)
            for _, place in sorted(places, key=itemgetter(0)):
                stream.seek(place)
                yield stream.readline()[:-1]

    def chunks(self) -> Iterator[bytes]:
        """As `lines`, but many at a time with newlines between: no slower than copying the file."""
        if not self._ascending:
            yield from self.lines()
            return
        with reading(self._messages_path), self._messages_path.open("rb", buffering=_BUFFER) as stream:
            while block := stream.read(_BUFFER):
                yield (block + stream.readline())[:-1]

    def participants(self) -> dict[int, bytes]:
        """The lines of those who wrote on this day and were described, by id."""
        return {number: line for number, line in self._participants.items() if number in self.index.authors}

    def _refuse_repeated(self, numbers: list[int]) -> None:
        last = self.last_id or 0
        for number in numbers:
            if number <= last:
                break
            last = number
        else:
            return
        if self._ids is None:
            self._ids = {message_id(line) for line in self.lines()}
        if repeated := sorted({n for n in numbers if n in self._ids or numbers.count(n) > 1}):
            raise ValueError(f"{self._messages_path}: the ids {repeated[:5]} are there already")

    def _note(self, number: int, body: dict[str, Any]) -> None:
        if self.last_id is None or self.first_id is None:
            self.first_id = self.last_id = number
        elif number > self.last_id:
            self.last_id = number
        else:
            self._ascending = False
            self.first_id = min(self.first_id, number)
        if self._ids is not None:
            self._ids.add(number)
        self.message_count += 1
        if body.get("type") == UNREADABLE:
            self.unreadable.add(number)
        self.index.add(number, body)

    def _recover(self) -> None:
        """Load what an earlier process left."""
        with reading(self._messages_path):
            try:
                self._ids = set()
                for record in self._participants_file.recover():
                    self._participants[record["id"]] = encode(record)
                for body in self._messages_file.recover():
                    if not _is_ours(body):
                        raise ValueError(f"the ids {body['id']!r} and {body['from_id']!r}")
                    if body["id"] in self._ids:
                        raise ValueError(f"{body['id']} twice")
                    self._note(body["id"], body)
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                logger.warning("%s is damaged (%s): the day is read again from its start.", self._messages_path, error)
                self.started_over = True
                self._start_over()
        if self._ascending:
            self._ids = None

    def _start_over(self) -> None:
        self._messages_file.cut(0)
        self._participants_file.cut(0)
        self.message_count = 0
        self.first_id = self.last_id = None
        self.index = DayIndex()
        self.unreadable = set()
        self._ascending = True
        self._ids = None
        self._participants = {}


def _is_ours(body: dict[str, Any]) -> bool:
    author = body["from_id"]
    return type(body["id"]) is int and body["id"] > 0 and (author is None or type(author) is int)


class _Appended:
    """A file of JSON lines that holds whole appends only, unless the machine itself stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._size = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def append(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        block = memoryview(b"\n".join(lines) + b"\n")
        size = self._size + len(block)
        try:
            while block:
                block = block[os.write(self._descriptor, block) :]
        except OSError:
            self.cut(self._size)
            raise
        self._size = size

    def recover(self) -> Iterator[dict[str, Any]]:
        """Every record; a last line without its end is cut off. A ValueError where any other line is not JSON."""
        self._size = 0
        with self._path.open("rb", buffering=_BUFFER) as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                yield orjson.loads(line)
                self._size += len(line)
        self.cut(self._size)

    def cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size
