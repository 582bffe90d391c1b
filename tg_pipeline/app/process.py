"""What every process sets up by the settings: its log, its counters, its traces."""

from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from tg_pipeline.contracts.state import StateStore
from tg_pipeline.observability import logs, traces
from tg_pipeline.settings import Settings

NOT_SECRET = {"loki_url", "pushgateway_url", "redis_url", "telegram_proxy", "otel_exporter_otlp_endpoint"}
"""URLs, of which the login only is."""


def keep_logs(settings: Settings, stream: logs.Stream = "stderr", *, everything: bool = True) -> None:
    """Set up logging. With `everything` other libraries' warnings as well; not where Dagster logs them."""
    loki = None
    if settings.loki_url is not None:
        from tg_pipeline.observability.loki import LokiHandler  # noqa: PLC0415 - brings HTTP, which few need

        keep_metrics(settings)  # lines that are dropped are counted
        loki = LokiHandler(settings.loki_url.get_secret_value())
        loki.setFormatter(logs.json_formatter())
    logs.log_to(
        stream,
        settings.log_level,
        settings.log_format,
        secrets=secrets_of(settings),
        loki=loki,
        everything=everything,
    )


def keep_metrics(settings: Settings) -> None:
    """Add what this process counts to the sums of all, from now on."""
    from tg_pipeline.observability import counts  # noqa: PLC0415 - brings prometheus_client

    def store() -> StateStore:
        from tg_pipeline.app.shared_state import state_store  # noqa: PLC0415 - brings Redis, which few need

        return state_store(settings)

    counts.keep_in((settings.home, settings.redis), store)


def keep_traces(settings: Settings) -> None:
    """Send what this process does to the collector; nothing where none is set."""
    if settings.otel_exporter_otlp_endpoint is not None:
        secret = settings.otel_exporter_otlp_headers
        pairs = secret.get_secret_value().split(",") if secret else []
        split = (pair.partition("=") for pair in pairs if pair.strip())
        headers = {name.strip().lower(): unquote(value.strip()) for name, _, value in split}
        traces.send_to(settings.otel_exporter_otlp_endpoint.get_secret_value(), headers)


def secrets_of(settings: Settings) -> set[str]:
    """Every value of the settings that nobody may read, in each way that it may be written."""
    found = set(settings.session_secrets)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
            found |= _of_login(text) if name in NOT_SECRET else {text, text.removeprefix("+")}
    headers = settings.otel_exporter_otlp_headers
    if headers is not None:
        values = [pair.partition("=")[2] for pair in headers.get_secret_value().split(",")]
        found |= {*values, *map(unquote, values)}
    return found


def _of_login(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    secret = parts.password or parts.username or ""  # of an MTProto proxy the name is the secret
    return {secret, unquote(secret)}
