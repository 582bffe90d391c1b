"""The sensor that pushes the metrics that are read from the state."""

from functools import partial

import dagster as dg

from tg_pipeline.dagster_client.run_metrics import of_runs, of_ticks
from tg_pipeline.monitoring.metrics import push
from tg_pipeline.settings import Settings


def metrics_sensor(settings: Settings) -> dg.SensorDefinition:
    """Pushes by METRICS_PUSH_INTERVAL_SECONDS, also what runs had counted that were killed before they pushed it."""

    @dg.sensor(
        name="metrics",
        minimum_interval_seconds=int(settings.metrics_push_interval_seconds) or 1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Pushes metrics to the Pushgateway.",
    )
    def metrics_(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from tg_pipeline.monitoring.derived import reads  # noqa: PLC0415 - brings Redis

        try:
            of_dagster = partial(of_runs, context.instance), partial(of_ticks, context.instance, settings)
            push(settings, *reads(settings), *of_dagster)
        except OSError as error:
            context.log.warning("Metrics are not pushed: %s", error)
            return dg.SkipReason(f"Not pushed: {error}")
        return dg.SkipReason("Pushed.")

    return metrics_
