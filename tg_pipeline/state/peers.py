"""What each account has learned of chats: id, access hash and username, so that a chat is resolved once.

Access hashes belong to an account: the same chat has another one for another login. Kept in SQLite in the instance
home; losing the file costs a few calls, never data, so a damaged one is set aside and begun anew.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from tg_pipeline.contracts.chat import Peer, PeerKind
from tg_pipeline.contracts.errors import StorageError

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS peers (
    account TEXT, marked_id INTEGER, kind TEXT, id INTEGER, access_hash INTEGER, username TEXT, title TEXT,
    PRIMARY KEY (account, marked_id));
CREATE INDEX IF NOT EXISTS peers_by_username ON peers (account, username COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS accounts (session TEXT PRIMARY KEY, account TEXT);
"""
_BUSY_SECONDS = 10.0
_COLUMNS = "kind, id, access_hash, username, title"


class PeerCache:
    """Peers by account. Safe under several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()
        except (OSError, sqlite3.OperationalError) as error:
            raise StorageError(f"The cache of chats {path} cannot be opened: {error}.") from error
        except sqlite3.DatabaseError:
            aside = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
            path.rename(aside)
            log.warning("The cache of chats %s was damaged; set aside as %s and begun anew.", path, aside.name)
            self._prepare()

    def account_of(self, session: str) -> str | None:
        """The account a session (by fingerprint) belongs to, once known."""
        with self._open() as db:
            row = db.execute("SELECT account FROM accounts WHERE session = ?", (session,)).fetchone()
        return str(row[0]) if row else None

    def remember_account(self, session: str, account: str) -> None:
        """Keep which account a session belongs to."""
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?)", (session, account))

    def by_id(self, account: str, marked_id: int) -> Peer | None:
        """The peer of that marked id."""
        return self._one("marked_id = ?", account, marked_id)

    def by_username(self, account: str, username: str) -> Peer | None:
        """The peer last seen under that username, compared without case."""
        return self._one("username = ? COLLATE NOCASE", account, username)

    def remember(self, account: str, peers: Iterable[Peer]) -> None:
        """Insert or replace. A username moves to the peer that bears it now."""
        with self._open() as db:
            for peer in peers:
                if peer.username:
                    db.execute(
                        "UPDATE peers SET username = NULL WHERE account = ? AND username = ? COLLATE NOCASE",
                        (account, peer.username),
                    )
                row = (account, peer.marked_id, peer.kind, peer.id, peer.access_hash, peer.username, peer.title)
                db.execute("INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def forget(self, account: str, marked_id: int) -> None:
        """Drop a peer whose access hash proved stale."""
        with self._open() as db:
            db.execute("DELETE FROM peers WHERE account = ? AND marked_id = ?", (account, marked_id))

    def _one(self, where: str, account: str, value: str | int) -> Peer | None:
        with self._open() as db:
            query = f"SELECT {_COLUMNS} FROM peers WHERE account = ? AND {where}"  # noqa: S608 - `where` is ours
            row = db.execute(query, (account, value)).fetchone()
        return _peer(row) if row else None

    def _prepare(self) -> None:
        with self._open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        try:
            with db:
                yield db
        finally:
            db.close()


def _peer(row: tuple[str, int, int, str | None, str | None]) -> Peer:
    kind, bare_id, access_hash, username, title = row
    return Peer(cast("PeerKind", kind), bare_id, access_hash, username, title)
