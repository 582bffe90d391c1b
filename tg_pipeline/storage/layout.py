"""The bytes of a day file: one JSON document with one record a line, so that it is read and written in a stream.

`docs/day-file.md` shows it. Reformatted by another program it is still the same document, and is then parsed whole.
"""

import codecs
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from itertools import islice
from typing import Any, BinaryIO

import orjson
from pydantic import ValidationError
from upath import UPath

from tg_pipeline.contracts.chat import SLUG_RULE, is_slug
from tg_pipeline.contracts.day_file import SCHEMA_VERSION, DayHeader
from tg_pipeline.contracts.day_lines import encode
from tg_pipeline.contracts.errors import DayFileError, InputError
from tg_pipeline.contracts.text import count
from tg_pipeline.machine.atomic import is_local, reading, timed, unreadable

SECTIONS = ("messages", "threads", "participants")
MIGRATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "1.0.0": lambda header: header | {"schema_version": "1.1.0", "account": None, "conditions": []},
}
"""By schema version, what turns a header of that version into one of the next. Records of 1.0.0 need no change."""

_FIRST_LINES = (b"{\n", b'"schema_version":"')
_HEAD_LINES_MAX = 32


class ContentHash:
    """SHA-256 over lines, each followed by a newline. A chunk is one line, or several with newlines between."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def add(self, chunks: Iterable[bytes]) -> None:
        """Take the chunks in."""
        for chunk in chunks:
            self._sha.update(chunk)
            self._sha.update(b"\n")

    def hex(self) -> str:
        """64 lower-case hexadecimal digits."""
        return self._sha.hexdigest()


def chat_directory(root: UPath, slug: str) -> UPath:
    """`<root>/<slug>`. An InputError where `slug` is none."""
    if not is_slug(slug):
        raise InputError(f"{slug!r} cannot name a chat's directory: allowed are {SLUG_RULE}.")
    return root / slug


def day_path(root: UPath, slug: str, day: date) -> UPath:
    """`<root>/<slug>/<YYYY>/discussions_<YYYY-MM-DD>.json`. An InputError where `slug` is none."""
    return chat_directory(root, slug) / f"{day.year:04}" / f"discussions_{day}.json"


def head_bytes(header: DayHeader) -> bytes:
    """Everything before the first message. A condition says only what is known of it."""
    fields = header.model_dump(mode="json")
    fields["conditions"] = [condition.model_dump(mode="json", exclude_none=True) for condition in header.conditions]
    return b"{\n" + b"".join(b"%b:%b,\n" % (orjson.dumps(name), orjson.dumps(value)) for name, value in fields.items())


def write_day(stream: BinaryIO, header: DayHeader, sections: Iterable[Iterable[bytes]]) -> None:
    """Write the document; `sections` are the lines of SECTIONS in that order, as chunks (see ContentHash)."""
    stream.write(head_bytes(header))
    for name, chunks in zip(SECTIONS, sections, strict=True):
        stream.write(b'"%b":[\n' % name.encode())
        between = b""
        for chunk in chunks:
            stream.write(between)
            stream.write(chunk.replace(b"\n", b",\n"))
            between = b",\n"
        stream.write(b"\n" if between else b"")
        stream.write(_section_end(name))
    stream.write(b"}\n")


def _section_end(name: str) -> bytes:
    return b"]\n" if name == SECTIONS[-1] else b"],\n"


class DayReader:
    """A day file, read front to back: `header`, then each of SECTIONS in order through `section`.

    `head` are the bytes before the first message, empty for a document in another layout. The header is brought to the
    present schema version.
    Every DayFileError names the file and what is wrong with it. That the records are those that `content_sha256` was
    taken of is known once the last section has been exhausted.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._sha = ContentHash()
        self._count = 0
        self._whole: dict[str, Any] | None = None
        head = self._read_head()
        if head is None:
            stream.seek(0)
            self._whole = self._parse_whole(stream.read())
            self.head = b""
            fields = {key: value for key, value in self._whole.items() if key not in SECTIONS}
        else:
            self.head = b"".join(head)
            fields = self._parse(self.head[:-2] + b"}")
        try:
            self.header = DayHeader.model_validate(self._migrated(fields))
        except ValidationError as error:
            raise self.damaged(first_problem(error)) from None

    def damaged(self, what: str) -> DayFileError:
        """The error that says so of this file."""
        return DayFileError(f"{self._name} is not a valid day file: {what}.")

    def section(self, name: str) -> Iterator[bytes]:
        """The section's lines, without commas and newlines."""
        lines = self._stream_section(name) if self._whole is None else map(encode, self._whole[name])
        for line in lines:
            if self.head:
                self._sha.add((line,))
            self._count += name == SECTIONS[0]
            yield line
        if name == SECTIONS[-1]:
            self._finish()

    def _read_head(self) -> list[bytes] | None:
        """The lines before `"messages":[`, or None where the file is laid out in another way."""
        lines = list(islice(self._stream, len(_FIRST_LINES)))
        if len(lines) < len(_FIRST_LINES) or lines[0] != _FIRST_LINES[0] or not lines[1].startswith(_FIRST_LINES[1]):
            return None
        for line in islice(self._stream, _HEAD_LINES_MAX):
            if line == b'"messages":[\n':
                return lines
            lines.append(line)
        return None

    def _stream_section(self, name: str) -> Iterator[bytes]:
        if name != SECTIONS[0] and self._stream.readline() != b'"%b":[\n' % name.encode():
            raise self.damaged(f"the list of {name} is missing")
        more = True
        empty = True
        for line in self._stream:
            if line.endswith(b"},\n") and more:
                yield line[:-2]
            elif line.endswith(b"}\n") and more:
                more = False
                yield line[:-1]
            elif line == _section_end(name) and more is empty:
                return
            else:
                break
            empty = False
        raise self.damaged(f"it is cut off or broken within its {name}")

    def _finish(self) -> None:
        if self._count != self.header.message_count:
            raise self.damaged(f"it holds {count(self._count, 'message')} and says {self.header.message_count}")
        if self._whole is not None:
            return
        if self._stream.read() != b"}\n":
            raise self.damaged("its end is cut off or followed by something else")
        if self._sha.hex() != self.header.content_sha256:
            raise self.damaged("its records are not those that content_sha256 was taken of")

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            what = "it is empty" if not text.strip() else f"it is cut off or not JSON ({error})"
            raise self.damaged(what) from None
        if not isinstance(document, dict):
            raise self.damaged("it is JSON, but not an object")
        return document

    def _parse_whole(self, text: bytes) -> dict[str, Any]:
        document = self._parse(text.removeprefix(codecs.BOM_UTF8))
        for name in SECTIONS:
            records = document.get(name)
            if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
                raise self.damaged(f"{name} is not a list of objects")
            self._sha.add(map(encode, records))
        if document.get("content_sha256") != self._sha.hex():
            raise self.damaged("its records are not those that content_sha256 was taken of")
        return document

    def _migrated(self, header: dict[str, Any]) -> dict[str, Any]:
        while (version := header.get("schema_version")) != SCHEMA_VERSION:
            if not isinstance(version, str) or version not in MIGRATIONS:
                raise self.damaged(f"schema_version {version!r} is not known; this program writes {SCHEMA_VERSION}")
            header = MIGRATIONS[version](header)
        return header


def first_problem(error: ValidationError) -> str:
    """Where the first thing is that breaks the schema, and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}".removeprefix(": ").replace("Value error, ", "", 1)


@contextmanager
def open_day(path: UPath) -> Iterator[DayReader]:
    """Read the day file at `path`. FileNotFoundError where there is none; any other OSError is a StorageError.

    A DayFileError where something else than a file is in its place: reading a pipe or a device may never end.
    """
    if is_local(path) and os.path.lexists(path.path) and not path.is_file():
        raise DayFileError(f"{path} is no file: a directory, a pipe, a device or a broken link is in its place.")
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    with timed("%s is read.", path), stream, reading(path):
        yield DayReader(stream, str(path))


@contextmanager
def open_day_file(path: UPath) -> Iterator[DayReader | None]:
    """The day file at `path`, or None where there is none."""
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(open_day(path))
        except FileNotFoundError:
            reader = None
        yield reader
