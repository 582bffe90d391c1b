"""Python's collector of reference cycles, set up for fetches and for the end of a process."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000

_fetching: list[object] = []
"""The blocks under way."""
_thresholds: list[int] = []
"""As they were before the first of them."""


@contextmanager
def fetching() -> Iterator[None]:
    """Collect seldom, and leave alone what was there before; both end with the block, of several with the last.

    A page of history is a few thousand objects without a cycle among them. With Python's defaults each is walked
    several times before it goes, and so, every 20,000 messages, is everything that was imported: 15 % of a fetch.
    """
    if not _fetching:
        _thresholds[:] = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS, *_thresholds[1:])
    block = object()
    _fetching.append(block)
    try:
        yield
    finally:
        _fetching.remove(block)
        if not _fetching:
            gc.set_threshold(*_thresholds)
            gc.unfreeze()


def end_quickly() -> None:
    """Have this process end without a search for cycles among all that it has imported, which takes it a second."""
    atexit.register(gc.freeze)
