"""The state store of one machine: a SQLite file in the instance home, shared by its processes.

Losing the file loses no data (see `contracts.state`), so a damaged one is set aside and begun again.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.state import WRITER_SECONDS, Batch, Change, Lease, Outcome
from tg_pipeline.machine.locks import locked_directory
from tg_pipeline.state.sqlite_files import BUSY_SECONDS, enter_wal, identity, is_damage, set_aside

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB, expires REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, value INTEGER, expires REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fields (key TEXT, field TEXT, value BLOB, PRIMARY KEY (key, field)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, holder TEXT, token INTEGER, expires REAL) WITHOUT ROWID;
"""


class SqliteStore:
    """The port `contracts.state.StateStore` over the file at `path`. `now` is the clock of all who share it."""

    degraded = False

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self.now = now
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._lock = threading.Lock()
        _stores.add(self)

    def read(self, *keys: str) -> Mapping[str, bytes | None]:
        """The values, all of one moment."""
        return self._run(lambda db: self._values(db, keys))

    def keys(self, prefix: str) -> list[str]:
        """The keys with a value that begin with `prefix`, sorted."""
        query = "SELECT key FROM entries WHERE substr(key, 1, ?) = ? AND (expires IS NULL OR expires > ?) ORDER BY key"
        return self._run(lambda db: [row[0] for row in db.execute(query, (len(prefix), prefix, self.now()))])

    def compare_and_set(self, changes: Mapping[str, Change]) -> Outcome:
        """Write all the changes if every key holds what is expected of it; otherwise none."""

        def write(db: sqlite3.Connection) -> Outcome:
            held = self._values(db, changes)
            if any(held[key] != change.expected for key, change in changes.items()):
                return Outcome(done=False, values=held)
            for key, change in changes.items():
                if change.value == change.expected:
                    continue
                if change.value is None:
                    db.execute("DELETE FROM entries WHERE key = ?", (key,))
                else:
                    row = (key, change.value, self._expiry(change.ttl_seconds))
                    db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", row)
            return Outcome(done=True, values={key: change.value for key, change in changes.items()})

        return self._run(write)

    def add(self, key: str, amount: int = 1, *, ttl_seconds: float | None = None) -> int:
        """Add to a counter and give the sum."""

        def write(db: sqlite3.Connection) -> int:
            row = db.execute(
                "SELECT value, expires FROM counters WHERE key = ? AND (expires IS NULL OR expires > ?)",
                (key, self.now()),
            ).fetchone()
            total, expires = (row[0] + amount, row[1]) if row else (amount, self._expiry(ttl_seconds))
            db.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", (key, total, expires))
            return int(total)

        return self._run(write)

    def hash_set(self, key: str, fields: Mapping[str, bytes | None]) -> None:
        """Set fields of a hash; None removes one."""

        def write(db: sqlite3.Connection) -> None:
            for field, value in fields.items():
                if value is None:
                    db.execute("DELETE FROM fields WHERE key = ? AND field = ?", (key, field))
                else:
                    db.execute("INSERT OR REPLACE INTO fields VALUES (?, ?, ?)", (key, field, value))

        self._run(write)

    def hash_get(self, key: str) -> Mapping[str, bytes]:
        """All fields of a hash."""
        return self._run(
            lambda db: dict(db.execute("SELECT field, value FROM fields WHERE key = ?", (key,)).fetchall())
        )

    def hash_add(self, key: str, batch: Batch) -> bool:
        """Add to fields of a hash; False for a batch that came before."""

        def write(db: sqlite3.Connection) -> bool:
            writer = f"writer:{batch.writer}"
            last = db.execute("SELECT value FROM counters WHERE key = ?", (writer,)).fetchone()
            if last and last[0] >= batch.number:
                return False
            row = (writer, batch.number, self._expiry(WRITER_SECONDS))
            db.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", row)
            query = "SELECT value FROM fields WHERE key = ? AND field = ?"
            for field, amount in batch.amounts.items():
                held = db.execute(query, (key, field)).fetchone()
                total = repr((float(held[0]) if held else 0.0) + amount).encode()
                db.execute("INSERT OR REPLACE INTO fields VALUES (?, ?, ?)", (key, field, total))
            return True

        return self._run(write)

    def acquire(self, name: str, holder: str, *, ttl_seconds: float) -> Lease | None:
        """Take the lease if it is free, expired or the holder's own."""

        def write(db: sqlite3.Connection) -> Lease | None:
            now = self.now()
            row = db.execute("SELECT holder, token, expires FROM leases WHERE name = ?", (name,)).fetchone()
            held = row is not None and row[0] is not None and row[2] > now
            if held and row[0] != holder:
                return None
            token = row[1] if held else max((row[1] if row else 0) + 1, int(now * 1_000))
            db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (name, holder, token, now + ttl_seconds))
            return Lease(name, holder, token)

        return self._run(write)

    def renew(self, lease: Lease, *, ttl_seconds: float) -> bool:
        """Hold it for `ttl_seconds` from now; False if it is no longer this lease."""
        return self._change_lease(lease, "expires = ?", self.now() + ttl_seconds)

    def release(self, lease: Lease) -> bool:
        """Free it; the row stays for its token. False if it was no longer this lease."""
        return self._change_lease(lease, "holder = ?", None)

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._lock:
            self._forget()

    def __del__(self) -> None:
        # Some stores live as long as their process, and Python 3.13 warns of a connection that is never closed.
        self._forget()

    def _change_lease(self, lease: Lease, assignment: str, value: float | None) -> bool:
        statement = f"UPDATE leases SET {assignment} WHERE name = ? AND holder = ? AND token = ? AND expires > ?"  # noqa: S608 - ours
        arguments = (value, lease.name, lease.holder, lease.token, self.now())
        return self._run(lambda db: db.execute(statement, arguments).rowcount == 1)

    def _values(
        self, db: sqlite3.Connection, keys: "Mapping[str, object] | tuple[str, ...]"
    ) -> dict[str, bytes | None]:
        now = self.now()
        query = "SELECT value FROM entries WHERE key = ? AND (expires IS NULL OR expires > ?)"
        found = ((key, db.execute(query, (key, now)).fetchone()) for key in keys)
        return {key: row[0] if row else None for key, row in found}

    def _expiry(self, ttl_seconds: float | None) -> float | None:
        return None if ttl_seconds is None else self.now() + ttl_seconds

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in one write transaction; where the file proves damaged, on a new one."""
        try:
            with self._lock:
                try:
                    return self._transaction(work)
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                    self._forget()
                    self._set_aside(error)
                return self._transaction(work)
        except (OSError, sqlite3.DatabaseError) as error:
            raise StateUnavailable(f"The shared state {self._path} cannot be used: {error}.") from error

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._open()
        with db:
            db.execute("BEGIN IMMEDIATE")
            return work(db)

    def _open(self) -> sqlite3.Connection:
        if self._db is not None and identity(self._path) != self._file:
            self._forget()  # another process set it aside, or somebody removed it: what counts is the file at the path
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with locked_directory(self._path.parent):
                self._file = identity(self._path)
                db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                try:
                    _prepare(db, self.now())
                except BaseException:
                    db.close()
                    raise
                self._db, self._file = db, identity(self._path)
        return self._db

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Once for all processes that find the same file damaged: not the one that the first of them began again."""
        with locked_directory(self._path.parent):
            if identity(self._path) == self._file:
                set_aside(self._path, "The shared state", error)

    def _forget(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _close_all() -> None:
    for store in list(_stores):
        store.close()


# A connection must not be carried into a forked process (sqlite.org/howtocorrupt.html, 2.6): both open it again.
_stores: WeakSet[SqliteStore] = WeakSet()
os.register_at_fork(before=_close_all)


def _prepare(db: sqlite3.Connection, now: float) -> None:
    enter_wal(db)
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(_SCHEMA)
    for table in ("entries", "counters"):
        db.execute(f"DELETE FROM {table} WHERE expires <= ?", (now,))  # noqa: S608 - ours
