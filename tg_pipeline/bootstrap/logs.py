"""The log of this process, as the settings say."""

from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.observability import logs

NOT_SECRET = {"loki_url", "pushgateway_url", "redis_url", "telegram_proxy", "otel_exporter_otlp_endpoint"}
"""URLs, of which the login only is."""


def keep_logs(settings: Settings, stream: logs.Stream = "stderr", *, everything: bool = True) -> None:
    """Set up logging. With `everything` other libraries' warnings as well; not where Dagster logs them."""
    loki = None
    if settings.loki_url is not None:
        from tg_pipeline.bootstrap.metrics import keep_metrics  # noqa: PLC0415 - brings HTTP, which few need
        from tg_pipeline.observability.loki import LokiHandler  # noqa: PLC0415 - the same

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
