"""Dagster's SQLite event log with its connections kept open.

As it ships (1.13), every event opens and closes four or five connections, compiles its statements again, and has SQLite
check point its write-ahead log, because the last connection closes. A run over 365 days, with four events a day (now
three), took 17 s of CPU, and a minute on a busy disk; with this 6 s and 10 s. Waits for a storage that keeps them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from dagster._core.storage.event_log import EventLogStorage, SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

MAX_OPEN = 8
"""Databases a storage keeps open: its index and the runs it wrote to last (Dagster keeps a database a run)."""

_open: WeakKeyDictionary[SqliteEventLogStorage, dict[str, Engine]] = WeakKeyDictionary()
_batches: WeakKeyDictionary[SqliteEventLogStorage, "_Batch"] = WeakKeyDictionary()


def keep_event_logs_open() -> None:
    """Have every SQLite event log of this process keep its connections. A second call does no harm.

    Leans on two methods of Dagster that are not public, `_connect` and `_initdb`; a test holds them to it.
    """
    SqliteEventLogStorage._connect = _connect  # type: ignore[method-assign] # noqa: SLF001
    SqliteEventLogStorage.dispose = _dispose  # type: ignore[method-assign]


@contextmanager
def one_transaction(storage: EventLogStorage) -> Iterator[None]:
    """Store the block's events together, or none of them: the disk is asked to sync once instead of twice an event.

    Other writers wait until the block ends, 20 s at most: keep it short. For SQLite whose connections are kept open
    only; elsewhere each event is stored by itself.
    """
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    with _Batch() as batch:
        _batches[storage] = batch
        try:
            yield
        finally:
            del _batches[storage]


class _Batch(ExitStack):
    """Connections by database, each in a transaction that ends with the block."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: dict[str, Connection] = {}

    def connection(self, engine: Engine, shard: str) -> Connection:
        if shard not in self._connections:
            self._connections[shard] = self.enter_context(engine.begin())
        return self._connections[shard]


_original_dispose = SqliteEventLogStorage.dispose


@contextmanager
def _connect(self: SqliteEventLogStorage, shard: str) -> Iterator[Connection]:
    with self._db_lock:
        if (batch := _batches.get(self)) is not None:
            yield batch.connection(_engine(self, shard), shard)
            return
        with _engine(self, shard).begin() as connection:
            yield connection


def _engine(storage: SqliteEventLogStorage, shard: str) -> Engine:
    engines = _open.setdefault(storage, {})
    engine = engines.pop(shard, None)
    if engine is not None and not Path(storage.path_for_shard(shard)).exists():
        engine.dispose()  # wiped meanwhile
        engine = None
    if engine is None:
        engine = create_engine(
            storage.conn_string_for_shard(shard),
            poolclass=StaticPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        storage._initdb(engine)  # noqa: SLF001
    engines[shard] = engine
    if len(engines) > MAX_OPEN:
        engines.pop(next(iter(engines))).dispose()
    return engine


def _dispose(self: SqliteEventLogStorage) -> None:
    with self._db_lock:
        for engine in _open.pop(self, {}).values():
            engine.dispose()
    _original_dispose(self)
