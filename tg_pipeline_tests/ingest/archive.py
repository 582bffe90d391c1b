"""An archive in a directory, a request that fills it, and processes that die while they do."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from upath import UPath

from tg_pipeline.contracts.days import DayRange, day_end, day_start
from tg_pipeline.contracts.fetch import CommittedDay, FetchReport, OnProgress
from tg_pipeline.contracts.findings import Finding
from tg_pipeline.contracts.history import History
from tg_pipeline.contracts.policy import FetchPolicy
from tg_pipeline.ingest.fetch import Fetch
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline.storage.progress import Progress
from tg_pipeline.storage.request import PendingRequest
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline_tests.ingest.memory_history import CHAT, CHAT_ID, Said

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of random name is made in it


@contextmanager
def temporary_archive() -> Iterator["Archive"]:
    """An archive that goes with the block, where it can be in memory: hundreds are written, and fsyncs are slow."""
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as directory:
        yield Archive(Path(directory))


class Killed(BaseException):
    """The process is dead. Whatever it still tries to write is not written."""


@dataclass
class Life:
    """Counts the steps of a process and ends it at step `last`; at none where that is None."""

    last: int | None = None
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.last is not None and self.steps >= self.last:
            raise Killed


class MortalStore(FileArchive):
    """Dies before or after a commit."""

    life = Life()

    def commit(self, *args: Any, **options: Any) -> CommittedDay:
        self.life.step()
        committed = super().commit(*args, **options)
        self.life.step()
        return committed

    def amend(self, *args: Any, **options: Any) -> CommittedDay:
        self.life.step()
        return super().amend(*args, **options)

    def seal(self, *args: Any, **options: Any) -> CommittedDay | None:
        self.life.step()
        done = super().seal(*args, **options)
        self.life.step()
        return done


class MortalProgress(Progress):
    """Dies before or after a note."""

    life = Life()

    def commit(self, *args: Any, **options: Any) -> None:
        self.life.step()
        super().commit(*args, **options)
        self.life.step()

    def advance(self, *args: Any) -> None:
        self.life.step()
        super().advance(*args)


class MortalRequest(PendingRequest):
    """Dies before anything is appended, and before or after a note."""

    life = Life()

    def spool(self, day: date, start: int) -> DaySpool:
        self.life.step()
        return super().spool(day, start)

    def mark_covered(self, start: int, end: int) -> None:
        self.life.step()
        super().mark_covered(start, end)
        self.life.step()

    def mark_committed(self, day: date) -> None:
        self.life.step()
        super().mark_committed(day)
        self.life.step()

    def mark_placed(self) -> None:
        self.life.step()
        super().mark_placed()
        self.life.step()

    def finish(self) -> None:
        self.life.step()
        super().finish()


class Archive:
    """Day files under `root`, as runs of one chat make them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = MortalStore(UPath(root / "data"))
        self.store.progress = self.progress = MortalProgress(UPath(root / "data"), self.store, root / "locks")

    def fetch(
        self,
        history: History,
        days: DayRange,
        *,
        pages_in_flight: int = 1,
        life: Life | None = None,
        on_progress: OnProgress | None = None,
        accept_deletions: bool = False,
    ) -> FetchReport:
        """One process from beginning to end, or to the end of its life."""
        life = life or Life()
        self.store.life = self.progress.life = MortalRequest.life = life
        now = int(SystemClock().now())
        with MortalRequest.open(
            *(self.root / "spool", CHAT, days), chat_id=CHAT_ID, now=now, accept_deletions=accept_deletions
        ) as pending:
            report = FetchReport(CHAT, CHAT_ID, days)
            fetch = Fetch(
                history,
                self.store,
                pending,
                report,
                policy=FetchPolicy(pages_in_flight=pages_in_flight),
                clock=SystemClock(),
                on_progress=on_progress,
                accept_deletions=accept_deletions,
            )
            return asyncio.run(fetch.run())

    def bytes(self) -> dict[str, bytes]:
        """Every file of the archive, by name."""
        return {path.name: path.read_bytes() for path in sorted((self.root / "data").rglob("*")) if path.is_file()}

    def messages(self, day: date) -> list[dict[str, Any]]:
        """The messages of a day's file."""
        return [json.loads(line) for line in self.store.lines(CHAT, day)]

    def ids(self, days: DayRange) -> dict[date, list[int]]:
        """The ids in every day's file."""
        return {day: [message["id"] for message in self.messages(day)] for day in days}

    def findings(self, today: date) -> list[Finding]:
        """What is wrong with it."""
        interrupted = interrupted_ranges(self.root / "spool", CHAT)
        return list(self.store.verify_chat(CHAT, today=today, interrupted=interrupted))

    def is_tidy(self) -> bool:
        """Whether no request has left anything behind."""
        return not [path for path in (self.root / "spool").rglob("*") if path.is_file()]


def expected_ids(messages: Sequence[Said], days: DayRange, until: float) -> dict[date, list[int]]:
    """What the day files must hold of `messages`, read at `until`."""
    return {
        day: [
            m.id for m in messages if m.text is not None and day_start(day) <= m.at < day_end(day) and m.at < int(until)
        ]
        for day in days
    }
