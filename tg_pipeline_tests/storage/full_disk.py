"""A disk that is full after 10,000 bytes of a file, for a child process: RLIMIT_FSIZE makes write(2) fail half way."""

import subprocess
import sys
import textwrap
from pathlib import Path

_PRELUDE = """
import resource, sys
from tg_pipeline.contracts.errors import StorageError
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
"""
_END = "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # coverage writes its file at exit"


def run_on_full_disk(code: str, path: Path) -> str:
    """What the code printed; `sys.argv[1]` is the path."""
    command = [sys.executable, "-c", _PRELUDE + textwrap.dedent(code) + _END, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
