"""Child processes that cannot outlive the process that started them, not even when it is killed with SIGKILL."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tg_pipeline.machine import tether_exec


def tethered(command: Sequence[str | Path], *, death_signal: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return `command` wrapped so that the kernel sends it `death_signal` when its starter dies.

    The wrapper replaces itself by the command: same process id, same streams, about 15 ms later. Start the result
    from a thread that lives as long as the process (the main thread): Linux ties the signal to the starting thread.
    Only the child itself is signalled; its own children are its own business, so give a process that has some SIGTERM.
    """
    # Isolated and without site: the wrapper must start the same way whatever the environment says.
    launcher = [sys.executable, "-I", "-S", str(Path(tether_exec.__file__))]
    return [*launcher, str(os.getpid()), str(int(death_signal)), *map(str, command)]
