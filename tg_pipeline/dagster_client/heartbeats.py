"""What is heard of Dagster's daemon."""

from collections.abc import Iterable

from dagster import DagsterInstance

from tg_pipeline.contracts.health import Heartbeats
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.run_metrics import of_runs, of_ticks
from tg_pipeline.dagster_client.ticks import heartbeats
from tg_pipeline.monitoring.metrics import Sample
from tg_pipeline.settings import Settings


class DagsterHeartbeats:
    """Reads what Dagster's history says from the instance of the settings, which is opened when first asked for.

    SettingsError where it cannot be opened; the next call tries again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance: DagsterInstance | None = None

    def __call__(self) -> Heartbeats:
        """The last heartbeat of each daemon, and the last tick of each sensor."""
        return heartbeats(self._opened(), self._settings)

    def samples(self) -> Iterable[Sample]:
        """How runs ended, and the last tick, as metrics."""
        instance = self._opened()
        return [*of_runs(instance), *of_ticks(instance, self._settings)] if instance else []

    def _opened(self) -> DagsterInstance | None:
        if (
            self._instance is None and (self._settings.home / "dagster.yaml").exists()
        ):  # else none was ever started here
            self._instance = open_instance(self._settings)
        return self._instance

    def close(self) -> None:
        """Close the instance."""
        if self._instance is not None:
            self._instance.dispose()
            self._instance = None
