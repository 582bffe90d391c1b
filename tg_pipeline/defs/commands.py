"""The sensor that carries out commands."""

from collections import Counter
from collections.abc import Sequence

import dagster as dg

from tg_pipeline.app.dispatch import dispatch
from tg_pipeline.app.skipping import summary
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.dagster_client.instance import owner_of
from tg_pipeline.dagster_client.launching import DagsterLauncher
from tg_pipeline.dagster_client.reloading import Reloading
from tg_pipeline.dagster_internals.jobs import UnresolvedAssetJobDefinition
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline.settings import Settings


def commands_sensor(
    settings: Settings,
    queue: CommandQueue,
    chats: Sequence[RegisteredChat],
    jobs: Sequence[UnresolvedAssetJobDefinition],
) -> dg.SensorDefinition:
    """Looks every COMMANDS_INTERVAL_SECONDS. Runs as soon as Dagster does."""
    partitions = {chat.slug: daily_partitions(chat.start or settings.start_date) for chat in chats}
    reloading = Reloading(settings.home)

    @dg.sensor(
        name="commands",
        jobs=jobs or None,
        minimum_interval_seconds=settings.commands_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Carries out the commands on the Redis list tg_commands, and publishes how they end.",
    )
    def commands(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance = context.instance
        days_per_run = settings.backfill_days_per_run
        launcher = DagsterLauncher(instance, days_per_run, context.code_location_origin, partitions)
        try:
            done = dispatch(settings, queue, launcher, owner=owner_of(instance))
        except SettingsError as error:
            context.log.warning("Commands wait: %s", error)
            done = Counter({"not done": 1})
        if launcher.wants_reload:
            reloading.ask()
        skipped = None if launcher.requests else dg.SkipReason(summary(done) or "No commands.")
        return dg.SensorResult(run_requests=launcher.requests, skip_reason=skipped)

    return commands
