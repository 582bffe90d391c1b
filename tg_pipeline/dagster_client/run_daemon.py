"""`python -m tg_pipeline.dagster_client.run_daemon ARGUMENTS...`: `dagster-daemon` that ends at once when asked.

In its own end, Dagster's daemon (1.13.27) closes the code location while threads still submit the runs of backfills,
and then marks those backfills FAILED for good. A daemon that is gone at once fails none: the next one goes on.
"""

import os
import runpy
import signal
import threading

ENDS = frozenset({signal.SIGINT, signal.SIGTERM})


def _end_at_once() -> None:
    signal.sigwait(ENDS)
    os._exit(0)


if __name__ == "__main__":
    # Blocked in every thread: Dagster's own handlers are never called.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    threading.Thread(target=_end_at_once, name="end", daemon=True).start()
    runpy.run_module("dagster._daemon", run_name="__main__", alter_sys=True)
