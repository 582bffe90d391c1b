"""What processes count, as sums in the state store: `<metric and labels> -> <sum>`, one hash for all of them.

Each process adds by how much its counters and histograms grew since it last did: a daemon thread every FLUSH_SECONDS,
`flush`, and the end of the process. One that is killed loses what it counted since. Metrics never fail anything: while
the store cannot be used, what was counted stays in the process, one number a series.
"""

import atexit
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Hashable
from uuid import uuid4

from prometheus_client import Metric as Family

from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.contracts.state import Batch, StateStore
from tg_pipeline.observability.metrics import CATALOG, COUNTED

FLUSH_SECONDS = 1.0
LARGEST_SHARE = 0.02
"""Of this process's time that its thread may take: a process with thousands of series flushes less often."""
HASH = "metrics"

log = logging.getLogger(__name__)


class _Flusher:
    """Adds what this process counts to the sums of one store at a time. Everything under `_lock`."""

    def __init__(self) -> None:
        self._where: Hashable = None
        self._open: Callable[[], StateStore] | None = None
        self._flushed: dict[str, float] = {}
        """Values of this process that are in the sums or in `_batch`."""
        self.begin()

    def begin(self) -> None:
        """Count for this process only: in a forked child, what was counted before is the parent's."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._store: StateStore | None = None
        self._writer, self._number = uuid4().hex, 0
        self._batch: Batch | None = None
        self._warned = False

    def keep_in(self, where: Hashable, open_store: Callable[[], StateStore]) -> None:
        if where != self._where:
            self.stop()
        with self._lock:
            if where != self._where:
                self._where, self._open = where, open_store
            if self._thread is None or not self._thread.is_alive():
                self._ended = threading.Event()
                self._thread = threading.Thread(
                    target=self._flush_on, args=[self._ended], name="flush-metrics", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Flush, and close the store."""
        self._ended.set()
        self.flush()
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._where = self._open = self._store = self._thread = self._batch = None

    def fork(self) -> None:
        values, gauges = _values()
        self._flushed = values | gauges
        self.begin()

    def flush(self) -> None:
        with self._lock:
            try:
                self._send()  # what could not be added before goes first, as it was: its answer may have been lost
                self._send_growth()
            except TgPipelineError as error:
                if not self._warned:
                    log.warning("Metrics wait in this process until the state can be written: %s", error)
                self._warned = True
            else:
                self._warned = False

    def _send(self) -> None:
        if self._batch is not None:
            self._opened().hash_add(HASH, self._batch)
            self._batch = None

    def _send_growth(self) -> None:
        if self._open is None:
            return
        values, gauges = _values()
        # With zeros that were never added: of a series that begins at 1 Prometheus does not see the first increase.
        changed = {field: value for field, value in values.items() if self._flushed.get(field) != value}
        if any(changed.values()):
            self._number += 1
            amounts = {field: value - self._flushed.get(field, 0.0) for field, value in changed.items()}
            self._batch = Batch(self._writer, self._number, amounts)
            self._flushed.update(changed)
            self._send()
        set_ = {field: value for field, value in gauges.items() if self._flushed.get(field) != value}
        if set_:
            self._opened().hash_set(HASH, {field: repr(value).encode() for field, value in set_.items()})
            self._flushed.update(set_)

    def _opened(self) -> StateStore:
        assert self._open is not None  # noqa: S101 - the callers look
        if self._store is None:
            self._store = self._open()
        return self._store

    def _flush_on(self, ended: threading.Event) -> None:
        spent = 0.0
        while not ended.wait(max(FLUSH_SECONDS, spent / LARGEST_SHARE)):
            began = time.thread_time()
            self.flush()
            spent = time.thread_time() - began


def _values() -> tuple[dict[str, float], dict[str, float]]:
    """What this process has counted, and the gauges it has set, by field."""
    values: dict[str, float] = {}
    gauges: dict[str, float] = {}
    for family in (family for metric in COUNTED for family in metric.collect()):
        kept = gauges if family.type == "gauge" else values
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                kept[json.dumps([sample.name, sample.labels])] = sample.value
    return values, gauges


_flusher = _Flusher()
os.register_at_fork(after_in_child=_flusher.fork)
atexit.register(_flusher.stop)


def keep_in(where: Hashable, open_store: Callable[[], StateStore]) -> None:
    """Add what this process counts to the sums in a store from now on, what it counted before included.

    `where` says which store that is: another call with the same only sees to it that the thread runs, as in a forked
    child. What was counted until a call with another is added where it was kept before.
    """
    _flusher.keep_in(where, open_store)


def flush() -> None:
    """Add now; waits for the store. A store that cannot be used is one warning."""
    _flusher.flush()


def stop() -> None:
    """Flush, and keep nothing from now on."""
    _flusher.stop()


def sums(store: StateStore) -> list[Family]:
    """What all processes have counted; a gauge has the value that was flushed last. Raises StateUnavailable.

    None while others of these processes may see another store.
    """
    found = store.hash_get(HASH)
    if store.degraded:
        return []
    families: dict[str, Family] = {}
    samples = [(*json.loads(field), float(value)) for field, value in found.items()]
    for name, labels, value in sorted(samples, key=_order):
        metric = CATALOG.get(name) or CATALOG.get(name.rpartition("_")[0])
        if metric is not None:
            if "le" in labels:
                # As the Pushgateway writes it: else the two ways would bring different series.
                labels["le"] = labels["le"].removesuffix(".0")
            families.setdefault(metric.name, metric.family()).add_sample(name, labels, value)
    return list(families.values())


def _order(sample: tuple[str, dict[str, str], float]) -> tuple[list[str], str, float]:
    """Series of a histogram together, its buckets in their order."""
    name, labels, _ = sample
    return [value for label, value in labels.items() if label != "le"], name, float(labels.get("le", 0))
