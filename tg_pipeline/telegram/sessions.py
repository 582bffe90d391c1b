"""Logins on this machine: session files under the instance home, or session strings from the settings."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tg_pipeline.contracts.errors import InputError, SessionMissing, StorageError
from tg_pipeline.machine.lease import lease_name
from tg_pipeline.telegram.errors import LOGIN_HINT
from tg_pipeline.telegram.wire import session_from

SUFFIX = ".session.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Session:
    """One login. `secret` is the session string: its holder is logged in, so it stays out of the repr."""

    name: str
    secret: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Identifies a session without showing the secret: the same for every spelling of the same login."""
        return lease_name(session_from(self.secret).auth_key.key.hex())


def load_sessions(directory: Path, secrets: Sequence[str]) -> list[Session]:
    """The session strings given, or else every session file in `directory`, sorted by name; each login once.

    Raises SessionMissing where there is none, or where one is malformed.
    """
    if secrets:
        found = [Session(f"Session {n} of the settings", secret) for n, secret in enumerate(secrets, 1)]
    else:
        found = [_read(path) for path in sorted(directory.glob(f"*{SUFFIX}"))]
    if not found:
        raise SessionMissing(
            "There is no Telegram login on this machine. Run `tg-pipeline login`, or set TELEGRAM_SESSION."
        )
    return list({_fingerprint(session): session for session in found}.values())


def _fingerprint(session: Session) -> str:
    try:
        return session.fingerprint
    except SessionMissing as error:
        raise SessionMissing(f"{session.name}: {error}") from error


def check_session_name(name: str) -> None:
    """An InputError where the name cannot be a session file's."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"session name: {name!r} is not allowed. Use 1-32 letters, digits, '_' and '-'.", field="session name"
        )


def save_session(directory: Path, name: str, secret: str) -> Path:
    """Write a session file that only its owner may read (mode 0600), atomically. Gives its path."""
    check_session_name(name)
    path = directory / f"{name}{SUFFIX}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"session": secret}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"The session file {path} cannot be written: {error.strerror}.") from error
    return path


def _read(path: Path) -> Session:
    try:
        secret = json.loads(path.read_text("utf-8-sig"))["session"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SessionMissing(
            f"The session file {path} cannot be read ({type(error).__name__}). {LOGIN_HINT}"
        ) from error
    return Session(str(path), str(secret))
