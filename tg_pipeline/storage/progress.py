"""`progress.json`: how far each chat has come, in a file that stays small whatever the archive's size."""

import codecs
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from upath import UPath

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.chat import Slug
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.machine.atomic import replace, sweep, unreadable, writing
from tg_pipeline.machine.locks import locked_file
from tg_pipeline.storage.layout import first_problem

logger = logging.getLogger(__name__)

FILE_NAME = "progress.json"
SCHEMA_VERSION = "1.0.0"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DayProgress(_Part):
    """A day that is open (today) or in flight."""

    last_processed_msg_id: int


class ChatProgress(_Part):
    """How far a chat has come. Nothing here moves back: where day files are lost, it is what still knows of them.

    `high_water_mark` is the highest message id that a committed day had; `first_day` and `last_day` are the outermost
    days that were committed as sealed. `unreadable` are the days whose files hold placeholders, None until that was
    looked for in all files.
    """

    high_water_mark: int | None = None
    first_day: date | None = None
    last_day: date | None = None
    days: dict[date, DayProgress] = Field(default_factory=dict)
    unreadable: list[date] | None = None


class ProgressFile(_Part):
    """The whole file."""

    schema_version: str = Field(default=SCHEMA_VERSION, pattern=rf"^{SCHEMA_VERSION}$")
    timezone: Literal["UTC"] = "UTC"
    chats: dict[Slug, ChatProgress] = Field(default_factory=dict)


class Progress:
    """`<root>/progress.json`, of the archive whose days lie there.

    Safe under several writers on one machine: `lock_dir` (local) holds their lock. None is for a single one.

    A file that is missing or cannot be understood is rebuilt from the day files and never stops anybody; the next write
    sets the latter aside as `progress.json.corrupt-N`. For that reason no write waits for the disk.
    """

    def __init__(self, root: UPath, archive: Archive, lock_dir: Path | None) -> None:
        self._root = root
        self._path = root / FILE_NAME
        self._archive = archive
        self._lock_dir = lock_dir
        self._swept = False

    def read(self) -> ProgressFile:
        """The present state, without writing anything."""
        return self._parsed() or _rebuilt(self._archive)

    def problem(self) -> str | None:
        """What is wrong with the file, or None. That there is none is nothing wrong."""
        try:
            self._parse()
        except FileNotFoundError:
            return None
        except ValueError as error:
            return str(error)
        return None

    def advance(self, slug: str, day: date, last_id: int) -> None:
        """The day is in flight and was read up to and including `last_id`. Rewrites the file: not for every page."""
        with self._changing(slug) as chat:
            chat.days[day] = DayProgress(last_processed_msg_id=last_id)

    def unreadable(self, slug: str) -> list[date]:
        """The days whose files may hold placeholders, ascending. Reads the head of every file of the chat, once."""
        known = self.read().chats.get(slug)
        if known is None or known.unreadable is None:
            with self._changing(slug) as known:
                known.unreadable = _unreadable(self._archive, slug)
        return known.unreadable

    def note_unreadable(self, slug: str, days: Iterable[date]) -> None:
        """The files of these days, and of no others, hold placeholders or are about to."""
        with self._changing(slug) as chat:
            chat.unreadable = sorted(days)

    def commit(self, slug: str, day: date, last_id: int | None, *, sealed: bool) -> None:
        """The day file is in place and ends with `last_id`. A sealed or empty day needs no pointer."""
        with self._changing(slug) as chat:
            if sealed:
                known = filter(None, (day, chat.first_day, chat.last_day))
                before = [] if chat.first_day else list(self._archive.days(slug))
                ends = sorted((*known, *before[:1], *before[-1:]))
                chat.first_day, chat.last_day = ends[0], ends[-1]
            if sealed or last_id is None:
                chat.days.pop(day, None)
            else:
                chat.days[day] = DayProgress(last_processed_msg_id=last_id)
            if last_id is not None:
                chat.high_water_mark = max(last_id, chat.high_water_mark or 0)

    @contextmanager
    def _changing(self, slug: str) -> Iterator[ChatProgress]:
        if not self._swept:
            sweep(self._root)
            self._swept = True
        with ExitStack() as held:
            if self._lock_dir is not None:
                held.enter_context(writing(self._lock_dir))
                held.enter_context(locked_file(self._lock_dir / f"{FILE_NAME}.lock"))
            held.enter_context(writing(self._path))
            before = self._parsed()
            if before is None:
                self._set_aside()
            state = before.model_copy(deep=True) if before else _rebuilt(self._archive)
            yield state.chats.setdefault(slug, ChatProgress())
            if state != before:
                with replace(self._path, durable=False) as stream:
                    stream.write(orjson.dumps(state.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n")

    def _parse(self) -> ProgressFile:
        """A FileNotFoundError where there is no file, a ValueError where it is none of ours."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            raise
        except IsADirectoryError:
            raise ValueError("it is a directory") from None
        except OSError as error:
            raise unreadable(self._path, error) from error
        try:
            return ProgressFile.model_validate(orjson.loads(text.removeprefix(codecs.BOM_UTF8)))
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None

    def _parsed(self) -> ProgressFile | None:
        try:
            return self._parse()
        except FileNotFoundError:
            return None
        except ValueError as error:
            logger.warning("%s is not what it should be; it is rebuilt from the day files (%s).", self._path, error)
            return None

    def _set_aside(self) -> None:
        if not self._path.exists():
            return
        number = 1
        while (aside := self._root / f"{FILE_NAME}.corrupt-{number}").exists():
            number += 1
        if self._path.is_dir():
            self._path.rename(aside)
        else:
            with replace(aside) as stream:
                stream.write(self._path.read_bytes())
        logger.warning("%s was kept as %s.", self._path, aside)


def _unreadable(archive: Archive, slug: str) -> list[date]:
    found = []
    for day in archive.days(slug):
        with suppress(DayFileError):
            header = archive.header(slug, day)
            if header is not None and any(c.kind == "unreadable" for c in header.conditions):
                found.append(day)
    return found


def _rebuilt(archive: Archive) -> ProgressFile:
    """What the day files say: back from each chat's newest day to its last sealed day that has messages."""
    state = ProgressFile()
    for slug in archive.slugs():
        days = list(archive.days(slug))
        for day in reversed(days):
            chat = state.chats.setdefault(slug, ChatProgress(first_day=days[0], last_day=day))
            try:
                header = archive.header(slug, day)
            except DayFileError as error:
                logger.warning("Passed over while rebuilding %s: %s", FILE_NAME, error)
                continue
            if header is None or header.last_message_id is None:
                continue
            chat.high_water_mark = max(header.last_message_id, chat.high_water_mark or 0)
            if header.sealed:
                break
            chat.days[day] = DayProgress(last_processed_msg_id=header.last_message_id)
    return state
