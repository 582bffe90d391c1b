"""What is heard of Dagster's daemon."""

from collections.abc import Iterable
from typing import Final

from dagster import DagsterInstance
from dagster._daemon.controller import DEFAULT_HEARTBEAT_INTERVAL_SECONDS

from tg_pipeline.bootstrap.metrics import Sample
from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.contracts.health import Heartbeat, Heartbeats
from tg_pipeline.defs.instance import open_instance
from tg_pipeline.defs.run_metrics import of_runs

DAEMONS: Final = ("SENSOR", "SCHEDULER")
"""Those that start fetches: commands, backfills and the watchdog come by sensors."""


class DagsterHeartbeats:
    """Reads what Dagster's history says from the instance of the settings, which is opened when first asked for.

    SettingsError where it cannot be opened; the next call tries again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance: DagsterInstance | None = None

    def __call__(self) -> Heartbeats:
        """The last heartbeat of each daemon."""
        instance = self._opened()
        found = instance.get_daemon_heartbeats() if instance else {}
        beats = [
            Heartbeat(name, found[name].timestamp, found[name].daemon_id)
            if name in found
            else Heartbeat(name, None, None)
            for name in DAEMONS
        ]
        return Heartbeats(DEFAULT_HEARTBEAT_INTERVAL_SECONDS, beats)

    def run_counts(self) -> Iterable[Sample]:
        """How runs ended, as metrics."""
        instance = self._opened()
        return of_runs(instance) if instance else []

    def _opened(self) -> DagsterInstance | None:
        if (
            self._instance is None and (self._settings.home / "dagster.yaml").exists()
        ):  # else none was ever started here
            self._instance = open_instance(self._settings)
        return self._instance

    def close(self) -> None:
        """Let go of the instance."""
        if self._instance is not None:
            self._instance.dispose()
            self._instance = None
