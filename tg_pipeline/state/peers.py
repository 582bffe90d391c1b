"""What each account has learned of chats: id, access hash and username, so that a chat is resolved once.

Also whether the account can read it, and how far back. Access hashes belong to an account: the same chat has another
one for another login. Kept in SQLite in the instance home; losing the file costs a few calls, never data, so a damaged
one is set aside and begun again, and a row that makes no sense is none.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tg_pipeline.contracts.chat import Peer, PeerKind
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.history import Visible
from tg_pipeline.state.sqlite_files import BUSY_SECONDS, enter_wal, is_damage, set_aside

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS peers (
    account TEXT, marked_id INTEGER, kind TEXT, id INTEGER, access_hash INTEGER, username TEXT, title TEXT,
    PRIMARY KEY (account, marked_id));
CREATE INDEX IF NOT EXISTS peers_by_username ON peers (account, username COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS accounts (session TEXT PRIMARY KEY, account TEXT);
CREATE TABLE IF NOT EXISTS readings (
    account TEXT, marked_id INTEGER, can_read INTEGER, noted_at REAL, PRIMARY KEY (account, marked_id));
CREATE TABLE IF NOT EXISTS visible (
    account TEXT, marked_id INTEGER, first_id INTEGER, begins INTEGER, asked_at REAL, PRIMARY KEY (account, marked_id));
"""
_COLUMNS = "kind, id, access_hash, username, title"
_ROW = TypeAdapter(tuple[PeerKind, int, int, str | None, str | None])
_READINGS = TypeAdapter(list[tuple[str, int, float, int | None]])


@dataclass(frozen=True, slots=True)
class Reading:
    """Whether an account could read a chat when that was last tried, at `noted_at` (POSIX s).

    `first_id` is the lowest message id it may see, as far as that was ever asked.
    """

    can_read: bool
    noted_at: float
    first_id: int


class PeerCache:
    """Peers by account. Safe under several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"The cache of chats {path} cannot be opened: {error.strerror}.") from error
        self._run(_prepare)

    def account_of(self, session: str) -> str | None:
        """The account a session (by fingerprint) belongs to, once known."""
        row = self._run(lambda db: db.execute("SELECT account FROM accounts WHERE session = ?", (session,)).fetchone())
        return str(row[0]) if row and re.fullmatch("[0-9]{1,20}", str(row[0])) else None

    def remember_account(self, session: str, account: str) -> None:
        """Keep which account a session belongs to."""
        self._run(lambda db: db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?)", (session, account)))

    def by_id(self, account: str, marked_id: int) -> Peer | None:
        """The peer of that marked id."""
        peer = self._one("marked_id = ?", account, marked_id)
        return peer if peer and peer.marked_id == marked_id else None

    def by_username(self, account: str, username: str) -> Peer | None:
        """The peer last seen under that username, compared without case."""
        return self._one("username = ? COLLATE NOCASE", account, username)

    def remember(self, account: str, peers: Iterable[Peer]) -> None:
        """Insert or replace. A username moves to the peer that bears it now."""
        known = list(peers)

        def write(db: sqlite3.Connection) -> None:
            for peer in known:
                if peer.username:
                    db.execute(
                        "UPDATE peers SET username = NULL WHERE account = ? AND username = ? COLLATE NOCASE",
                        (account, peer.username),
                    )
                row = (account, peer.marked_id, peer.kind, peer.id, peer.access_hash, peer.username, peer.title)
                db.execute("INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        self._run(write)

    def forget(self, account: str, marked_id: int) -> None:
        """Drop a peer whose access hash proved stale."""
        self._run(lambda db: db.execute("DELETE FROM peers WHERE account = ? AND marked_id = ?", (account, marked_id)))

    def remember_reading(self, account: str, marked_id: int, *, can_read: bool, now: float) -> None:
        """Keep whether the account can read the chat. What one that cannot has seen of it counts no more."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", (account, marked_id, can_read, now))
            if not can_read:
                db.execute("DELETE FROM visible WHERE account = ? AND marked_id = ?", (account, marked_id))

        self._run(write)

    def readings(self, marked_id: int) -> dict[str, Reading]:
        """By account, what is known of those that tried to read the chat."""
        query = (
            "SELECT account, can_read, noted_at, first_id FROM readings LEFT JOIN visible USING (account, marked_id) "
            "WHERE marked_id = ?"
        )
        rows = self._run(lambda db: db.execute(query, (marked_id,)).fetchall())
        try:
            found = _READINGS.validate_python(rows, strict=True)
        except ValidationError:
            return {}
        return {account: Reading(bool(can), at, first_id or 0) for account, can, at, first_id in found}

    def remember_visible(self, account: str, marked_id: int, visible: Visible, *, now: float) -> None:
        """Keep what the account may see of the chat's past."""
        row = (account, marked_id, visible.first_id, visible.begins, now)
        self._run(lambda db: db.execute("INSERT OR REPLACE INTO visible VALUES (?, ?, ?, ?, ?)", row))

    def _one(self, where: str, account: str, value: str | int) -> Peer | None:
        query = f"SELECT {_COLUMNS} FROM peers WHERE account = ? AND {where}"  # noqa: S608 - `where` is ours
        row = self._run(lambda db: db.execute(query, (account, value)).fetchone())
        try:
            return Peer(*_ROW.validate_python(row, strict=True)) if row else None
        except ValidationError:
            return None

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in one transaction; where the database proves damaged, on a new one."""
        try:
            try:
                return self._transaction(work)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                set_aside(self._path, "The cache of chats", error)
            self._transaction(_prepare)
            return self._transaction(work)
        except (OSError, sqlite3.OperationalError) as error:
            raise StorageError(f"The cache of chats {self._path} cannot be opened: {error}.") from error

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with contextlib.closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as db, db:
            return work(db)


def _prepare(db: sqlite3.Connection) -> None:
    enter_wal(db)
    db.executescript(_SCHEMA)
