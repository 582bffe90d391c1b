"""Traces of this process, where the settings name a collector."""

from urllib.parse import unquote

from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.observability import traces


def keep_traces(settings: Settings) -> None:
    """Send what this process does to the collector; nothing where none is set."""
    if settings.otel_exporter_otlp_endpoint is not None:
        secret = settings.otel_exporter_otlp_headers
        pairs = secret.get_secret_value().split(",") if secret else []
        split = (pair.partition("=") for pair in pairs if pair.strip())
        headers = {name.strip().lower(): unquote(value.strip()) for name, _, value in split}
        traces.send_to(settings.otel_exporter_otlp_endpoint.get_secret_value(), headers)
