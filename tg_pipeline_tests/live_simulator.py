"""A simulator in a process of its own, and the command line pointed at it by its environment."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tg_pipeline_tests.unpaced import UNPACED

PROGRAM = Path(sys.executable).with_name("tg-pipeline")


@dataclass(frozen=True)
class LiveSimulator:
    """A running `tg-pipeline simulate` on the demo world. `session` is one login; `journal` the file it writes."""

    session: str
    api_id: int
    api_hash: str
    public_key: str
    journal: Path

    def calls(self) -> Counter[str]:
        """What was asked so far, by method."""
        return Counter(entry["method"] for entry in self.entries())

    def history_calls(self) -> int:
        """How often a page of history was asked for; cheap enough to be looked at all the time."""
        return self.journal.read_bytes().count(b'"messages.getHistory"') if self.journal.exists() else 0

    def entries(self) -> list[dict[str, Any]]:
        """The journal so far."""
        whole, _, _ = self.journal.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def environment(self, home: Path, session: str | None = None) -> dict[str, str]:
        """The environment of an instance in `home` that is logged in at this simulator."""
        return os.environ | {
            "TELEGRAM_API_ID": str(self.api_id),
            "TELEGRAM_API_HASH": self.api_hash,
            "TELEGRAM_SESSION": session or self.session,
            "TELEGRAM_SERVER_PUBLIC_KEY": self.public_key,
            "DAGSTER_HOME": str(home / "instance"),
            "DATA_URI": str(home / "data"),
            "CHATS_FILE": str(home / "chats.yaml"),
            "XDG_STATE_HOME": str(home / "state"),
            **{key.upper(): str(value) for key, value in UNPACED.items()},
        }


@contextmanager
def live_simulator(directory: Path, *arguments: str) -> Iterator[LiveSimulator]:
    """Serve the demo world, with these further arguments of `tg-pipeline simulate`, while the block runs."""
    journal = directory / "journal.jsonl"
    command = [str(PROGRAM), "simulate", "--journal", str(journal), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield LiveSimulator(ready["session"], ready["api_id"], ready["api_hash"], ready["public_key"], journal)
        finally:
            process.terminate()


def program(*arguments: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Start `tg-pipeline` with these arguments; its output is captured."""
    return subprocess.Popen(
        [PROGRAM, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
