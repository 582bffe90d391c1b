"""What Dagster loads: the chats of `chats.yaml` as assets, jobs and a schedule. Every run pays for its imports."""

import logging
import warnings
from collections.abc import Sequence

import dagster as dg

import tg_pipeline.machine.quiet_interrupts  # noqa: F401 - first, for as long as the rest is being loaded
from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.process import keep_logs, keep_metrics, keep_traces
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.dagster_client.names import DAY_FILES
from tg_pipeline.dagster_internals.console import print_each_line_once
from tg_pipeline.dagster_internals.event_log import keep_event_logs_open
from tg_pipeline.dagster_internals.jobs import UnresolvedAssetJobDefinition
from tg_pipeline.defs.checks import chat_checks
from tg_pipeline.defs.factory import chat_assets
from tg_pipeline.defs.io_manager import DayFileIOManager
from tg_pipeline.defs.jobs import chat_jobs
from tg_pipeline.defs.metrics import metrics_sensor
from tg_pipeline.defs.resources import TelegramResource
from tg_pipeline.defs.retention import retention_job, retention_schedule
from tg_pipeline.defs.run_events import RunEvents
from tg_pipeline.defs.scaffolded import scaffolded_definitions
from tg_pipeline.defs.schedules import daily_schedule
from tg_pipeline.defs.tracing import traces_sensor
from tg_pipeline.defs.watchdog import watchdog_sensor, watched_executor
from tg_pipeline.machine.garbage_collection import end_quickly
from tg_pipeline.settings import Settings, load_settings, restrict_new_files
from tg_pipeline.storage.registry import read_registry

log = logging.getLogger(__name__)


def build_definitions(settings: Settings) -> dg.Definitions:
    """Definitions of every registered chat but those that are disabled, which are logged.

    SettingsError where `chats.yaml` as a whole cannot be understood.
    """
    keep_traces(settings)
    registry = read_registry(settings.chats_path)
    chats = registry.chats
    by_slug = {chat.slug: chat for chat in chats}
    for entry in registry.disabled:
        log.warning("The chat %s is disabled: %s", entry.name, entry.reason)
    store = open_archive(settings)
    start = settings.start_date
    days_per_run = settings.backfill_days_per_run
    runs = settings.home / "runs"
    with warnings.catch_warnings():
        # Backfill policies and partitioned checks, once a chat: we build on them, and Dagster's version is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        jobs = [job for chat in chats for job in chat_jobs(chat)]
        return dg.Definitions(
            assets=[
                asset
                for chat in chats
                for asset in chat_assets(chat, store, start=start, days_per_run=days_per_run, chats=by_slug)
            ],
            asset_checks=[check for chat in chats for check in chat_checks(chat, store, start=start)],
            jobs=[*jobs, retention_job(settings)],
            schedules=[*([daily_schedule(settings, chats)] if chats else []), retention_schedule()],
            resources={
                "telegram": TelegramResource.of(settings),
                "events": RunEvents(),
                DAY_FILES: DayFileIOManager(store),
            },
            sensors=[
                watchdog_sensor(runs),
                *bus_sensors(settings, chats, jobs),
                *([metrics_sensor(settings)] if settings.pushes_metrics else []),
                *([traces_sensor()] if settings.otel_exporter_otlp_endpoint else []),
            ],
            executor=watched_executor(runs),
        )


def bus_sensors(
    settings: Settings, chats: Sequence[RegisteredChat], jobs: Sequence[UnresolvedAssetJobDefinition]
) -> list[dg.SensorDefinition]:
    """The sensors that carry out commands and publish how they ended; nothing where no Redis is set."""
    if settings.redis is None:
        return []
    # These bring Redis, which not everybody has.
    from tg_pipeline.app.commands import command_queue  # noqa: PLC0415
    from tg_pipeline.defs.commands import commands_sensor  # noqa: PLC0415
    from tg_pipeline.defs.ended_runs import ended_runs_sensor  # noqa: PLC0415

    queue = command_queue(settings)
    return [
        commands_sensor(settings, queue, chats, jobs),
        ended_runs_sensor(queue, chats, days_per_run=settings.backfill_days_per_run),
    ]


keep_event_logs_open()
print_each_line_once()
end_quickly()
try:
    settings = load_settings()
    restrict_new_files(settings)
    keep_logs(settings, "stdout", everything=False)
    keep_metrics(settings)
    defs = dg.Definitions.merge(build_definitions(settings), scaffolded_definitions())
except SettingsError as error:
    # Raised again, so that Dagster shows the sentence and not the way it came.
    raise SettingsError(str(error)) from None
