"""What keeps one bad run, command or file from stopping a sensor for all others."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tg_pipeline.contracts.errors import StateUnavailable

log = logging.getLogger(__name__)


@contextmanager
def skipping(what: str, done: Counter[str]) -> Iterator[None]:
    """Log an error of the block, count it in `done` as "skipped", and go on after the block.

    StateUnavailable passes: it concerns all, and the next tick tries again.
    """
    try:
        yield
    except StateUnavailable:
        raise
    except Exception:
        done["skipped"] += 1
        log.exception("%s is skipped.", what)


def summary(done: Counter[str]) -> str:
    """`3 ended, 1 skipped`; empty where nothing was done."""
    return ", ".join(f"{count} {what}" for what, count in sorted(done.items()) if count)
