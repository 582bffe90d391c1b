"""Tracebacks that repeat, as Dagster's daemons log them while they cannot write: 2.4 MB a minute on a full disk.

Their processes load none of our definitions. `instance_class` in dagster.yaml is what Dagster loads in every process.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import dagster as dg

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.dagster_internals.instances import DaemonHeartbeat, InstanceRef

FULL_SECONDS = 3_600.0
BRIEF_SECONDS = 60.0


class QuietInstance(dg.DagsterInstance):
    """Dagster's instance. In its daemons' process a traceback that repeats is a line a minute.

    Runs print what LOG_LEVEL allows; by themselves they print each step of theirs, three quarters of all bytes.
    """

    @property
    def python_log_level(self) -> str | None:
        """That of dagster.yaml, else LOG_LEVEL."""
        return super().python_log_level or _log_level()

    def get_daemon_heartbeats(self) -> Mapping[str, DaemonHeartbeat]:
        """As the plain instance does. Each daemon begins with it, and only then are the handlers set up."""
        for handler in logging.getLogger("dagster").handlers:
            handler.addFilter(_once_in_full)
        return super().get_daemon_heartbeats()

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Nothing of its own; Dagster asks."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """As of the plain instance."""
        return InstanceRef.config_defaults(base_dir)


@cache
def _log_level() -> str | None:
    from tg_pipeline.settings import load_settings  # noqa: PLC0415 - only runs ask for it

    try:
        return load_settings().log_level
    except SettingsError:
        return None  # whatever loads the definitions reports what is wrong


_ID = re.compile(r"(?<=[Bb]ackfill failed for )\S+|[0-9a-f]{8}-[0-9a-f-]{27}|\b(?:0x[0-9a-f]+|\d+)\b")
"""What differs where the same goes wrong for another run, backfill or command."""


class OnceInFull(logging.Filter):
    """Passes a traceback in full once an hour; its repeats as one line, once a minute, with their number.

    Whichever run, backfill or command it is about: a repeat is the same sentence but for ids and numbers.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._seen: dict[tuple[str, str], _Repeated] = {}

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: D102 - as the base class says
        lines = record.getMessage().splitlines()
        if record.exc_info and record.exc_info[1] is not None:
            lines[1:] = [repr(record.exc_info[1]), ""]
        if len(lines) <= 2:  # noqa: PLR2004 - the message and the error
            return True
        now = self._now()
        self._seen = {key: found for key, found in self._seen.items() if now - found.full_at < FULL_SECONDS}
        brief = " ".join(line.strip() for line in lines[:2])
        kind = (record.name, _ID.sub("ID", brief))
        found = self._seen.get(kind)
        if found is None:
            self._seen[kind] = _Repeated(now)
            return True
        found.number += 1
        if now - found.brief_at < BRIEF_SECONDS:
            return False
        found.brief_at = now
        record.msg, record.args = "%s (%d times since it was logged in full)", (brief, found.number)
        record.exc_info = record.exc_text = None
        return True


class _Repeated:
    def __init__(self, now: float) -> None:
        self.full_at = self.brief_at = now
        self.number = 0


_once_in_full = OnceInFull()
"""Of all handlers of this process."""
