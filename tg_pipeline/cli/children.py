"""Processes that a verb starts, and what they leave behind."""

import os
import signal
import subprocess
import time
from contextlib import suppress

GRACE_SECONDS = 5.0


def end_group(leader: "subprocess.Popen[bytes]") -> None:
    """End what a process leaves behind: Dagster's code servers would notice by themselves after 45 s."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            leader.poll()
            os.killpg(leader.pid, 0)
            time.sleep(0.05)
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
