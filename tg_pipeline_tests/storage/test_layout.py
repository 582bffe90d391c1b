"""The bytes of a day file."""

import subprocess
import sys

KEPT_LINES = 20_000
MEASURE = f"""
from pathlib import Path
from tg_pipeline.storage.layout import encode

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

before = megabytes()
kept = [encode({{"id": number, "name": "somebody"}}) for number in range({KEPT_LINES})]
print(megabytes() - before)
"""


def test_lines_that_are_kept_weigh_little_more_than_their_length() -> None:
    """The participants of a day are. Left as orjson returns them they would take 4 KB each."""
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10
