"""What all SQLite files of ours need: several writers at once, and a fresh start where a file proves damaged."""

import contextlib
import logging
import sqlite3
import time
from pathlib import Path

log = logging.getLogger(__name__)

_PRIMARY_CODE = 0xFF
_DAMAGE = {
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
}
"""Result codes (sqlite.org/rescode.html) that a database of ours never gives; SQLITE_ERROR is a missing column."""
BUSY_SECONDS = 10.0


def enter_wal(db: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log. Unlike all else, that does not wait while another process does it."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is at the path, whatever it is called; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file's content is at fault, a foreign schema included, not a full disk or a lock or the caller."""
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & _PRIMARY_CODE in _DAMAGE


def set_aside(path: Path, what: str, error: sqlite3.DatabaseError) -> None:
    """Rename the file, with its write-ahead log, which would be taken for the new database's.

    `what` is how the warning calls it, as the beginning of a sentence.
    """
    aside = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    log.warning("%s %s was damaged (%s); set aside as %s and begun again.", what, path, error, aside.name)
