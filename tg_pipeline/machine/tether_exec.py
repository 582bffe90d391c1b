"""Runs as a script: `tether_exec.py PARENT_PID SIGNAL COMMAND...`. Ties itself to its parent, then becomes COMMAND.

PR_SET_PDEATHSIG survives execve (prctl(2)), which spares both a watchdog process and code between fork and exec.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Replace this process by `argv[2:]`; exit 1 if the parent `argv[0]` died before it could be tied to it."""
    parent, death_signal, command = int(argv[0]), int(argv[1]), argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own list, no shell is in sight


if __name__ == "__main__":
    main(sys.argv[1:])
