"""The bytes of a day file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath

from tg_pipeline.contracts.errors import DayFileError, InputError
from tg_pipeline.storage.layout import chat_directory, open_day

KEPT_LINES = 20_000
MEASURE = f"""
from pathlib import Path
from tg_pipeline.contracts.day_lines import encode

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

before = megabytes()
kept = [encode({{"id": number, "name": "somebody"}}) for number in range({KEPT_LINES})]
print(megabytes() - before)
"""


def test_what_is_no_day_file_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "day.json"
    path.write_bytes(b"{}")
    with pytest.raises(DayFileError) as refused, open_day(UPath(path)) as day:
        list(day.section("messages"))
    assert str(refused.value) == f"{path} is not a valid day file: messages is not a list of objects."


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/nowhere")])
def test_what_is_no_file_at_all_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "day.json"
    make(path)
    sentence = f"^{path} is no file: a directory, a pipe, a device or a broken link"
    with pytest.raises(DayFileError, match=sentence), open_day(UPath(path)):
        pass


def test_lines_that_are_kept_weigh_little_more_than_their_length() -> None:
    """The participants of a day are. Left as orjson returns them they would take 4 KB each."""
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10


def test_a_name_that_is_no_slug_is_quoted() -> None:
    with pytest.raises(InputError, match=r"'a/b' cannot name a chat's directory"):
        chat_directory(UPath("memory://x"), "a/b")
