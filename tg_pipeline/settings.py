"""Every setting of the program: from the environment or `.env`, checked at start. `.env.example` lists them all."""

import os
import re
from dataclasses import asdict
from datetime import date
from functools import cached_property
from pathlib import Path
from string import hexdigits
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from upath import UPath

from tg_pipeline.contracts.days import FIRST_DAY
from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.contracts.policy import BreakerPolicy, CallPolicy, FetchPolicy, RatePolicy

PROJECT_DIRECTORY = Path(__file__).resolve().parents[1]
"""The checkout; relative paths in settings are relative to it, not to wherever a command was typed."""

FILE_SYSTEMS = {
    *("file", "local", "ftp", "sftp", "ssh", "smb", "webdav", "hdfs", "webhdfs"),
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "tos"),
}
"""The fsspec file systems that can be written and outlive the process: not memory, archives, caches or the web."""

API_HASH_LENGTH = 32
HEADER = r"\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+\s*=[\x21-\x7e ]*"
"""One of HTTP's as OpenTelemetry's settings write it."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
CallsPerSecond = Annotated[float, Field(gt=0, le=100_000)]


class Settings(BaseSettings):
    """Names are the environment's, in lower case. Units are in the names or the comments of `.env.example`."""

    model_config = SettingsConfigDict(
        env_file=(PROJECT_DIRECTORY / ".env", ".env"), env_file_encoding="utf-8-sig", extra="ignore", frozen=True
    )

    telegram_api_id: int | None = Field(default=None, gt=0, lt=2**31)
    telegram_api_hash: SecretStr | None = None
    telegram_phone: SecretStr | None = None
    telegram_session: SecretStr | None = None
    telegram_sessions: SecretStr | None = None
    telegram_proxy: SecretStr | None = None
    telegram_server_public_key: Path | None = None

    dagster_home: Path = Path(".dagster_home")
    data_uri: str = "data"
    chats_file: Path = Path("chats.yaml")
    xdg_state_home: Path | None = None
    umask: str = "077"
    retention_days: int = Field(default=30, ge=8, le=36_500)
    start_date: date = Field(default=date(2020, 1, 1), ge=FIRST_DAY)

    redis_url: SecretStr | None = None
    redis_host: str | None = None
    redis_port: int = Field(default=6379, ge=1, le=65_535)
    redis_password: SecretStr | None = None

    fetch_strategy: Literal["batch", "per_day"] = "batch"
    fetch_concurrency: int = Field(default=1, ge=1, le=64)
    parallelism_max: int = Field(default=2, ge=1, le=16)
    fetch_pages_in_flight: int = Field(default=2, ge=1, le=16)
    backfill_days_per_run: int = Field(default=366, ge=1, le=3_660)
    lease_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60

    call_deadline_seconds: Seconds = 30
    retry_max_attempts: int = Field(default=5, ge=1, le=100)
    retry_max_elapsed_seconds: Seconds = 120
    backoff_strategy: Literal["full", "decorrelated"] = "full"
    backoff_base_seconds: Seconds = 0.5
    backoff_max_seconds: Seconds = 10
    flood_wait_max_seconds: int = Field(default=300, ge=0, le=86_400)
    circuit_breaker_failure_threshold: int = Field(default=5, ge=1, le=1_000)
    circuit_breaker_window_seconds: Seconds = 30
    circuit_breaker_open_timeout_seconds: Seconds = 60
    rate_limit_strategy: Literal["adaptive", "fixed"] = "adaptive"
    rate_limit_per_second: CallsPerSecond = 1
    rate_limit_floor_per_second: CallsPerSecond = 0.05
    rate_limit_ceiling_per_second: CallsPerSecond = 30
    rate_limit_burst: int = Field(default=10, ge=1, le=10_000)
    rate_limit_strict_per_second: CallsPerSecond = 0.1
    rate_limit_strict_burst: int = Field(default=10, ge=1, le=10_000)

    commands_interval_seconds: int = Field(default=5, ge=5, le=60)
    commands_unregistered_chats: Literal["reject", "register"] = "reject"
    idempotency_ttl: int = Field(default=1_800, ge=1, le=604_800)
    redis_outage_max_seconds: Seconds | None = None

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["auto", "json", "console"] = "auto"
    loki_url: SecretStr | None = None
    metrics_mode: Literal["scrape", "push", "both"] = "both"
    pushgateway_url: SecretStr | None = None
    metrics_push_interval_seconds: Seconds = 15
    otel_exporter_otlp_endpoint: SecretStr | None = None
    otel_exporter_otlp_headers: SecretStr | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any, info: Any) -> Any:
        """`KEY=` in a .env file means that the key is not set."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not hold a NUL byte")
        unset = isinstance(value, str) and not value.strip()
        return cls.model_fields[info.field_name].get_default() if unset else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("dagster_home", "chats_file", "xdg_state_home", "telegram_server_public_key", "data_uri")
    @classmethod
    def _is_of_a_known_user(cls, value: Path | str | None) -> Path | str | None:
        try:
            Path(value or "").expanduser()
        except RuntimeError:
            raise ValueError("begins with ~ and the name of a user whom this machine does not know") from None
        return value

    @field_validator("data_uri")
    @classmethod
    def _keeps_what_is_written(cls, value: str) -> str:
        scheme, mark, _ = value.partition("://")
        if mark and scheme not in FILE_SYSTEMS:
            raise ValueError(
                f"{scheme}:// keeps no archive. Allowed: a directory, or a URL of {', '.join(sorted(FILE_SYSTEMS))}"
            )
        return value

    @field_validator("umask")
    @classmethod
    def _is_octal(cls, value: str) -> str:
        if not re.fullmatch(r"0?[0-7]{3}", value):
            raise ValueError("must be three octal digits: 077 for you alone, 027 for your group too, 022 for everybody")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_url_of_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be redis://[user:password@]host:port/0, rediss://... (TLS) or unix://path")
        return value

    @field_validator("pushgateway_url", "loki_url")
    @classmethod
    def _is_http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("must be http://[user:password@]host:port or https://...")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_http_without_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        url = value.get_secret_value() if value else "http://"
        if not url.startswith(("http://", "https://")) or "@" in url:
            raise ValueError(
                "must be http://host:port or https://..., of a collector that takes OTLP over HTTP; "
                "what lets us in belongs in OTEL_EXPORTER_OTLP_HEADERS"
            )
        return value

    @field_validator("otel_exporter_otlp_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(re.fullmatch(HEADER, pair) for pair in value.get_secret_value().split(",")):
            raise ValueError("must be name=value, of several with commas between; values percent-encoded")
        return value

    @field_validator("telegram_api_hash")
    @classmethod
    def _is_hash(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not (
            len(value.get_secret_value()) == API_HASH_LENGTH and set(value.get_secret_value().lower()) <= set(hexdigits)
        ):
            raise ValueError("must be 32 hexadecimal digits, as shown at https://my.telegram.org")
        return value

    @model_validator(mode="after")
    def _bounds_agree(self) -> "Settings":
        if self.metrics_mode == "push" and self.pushgateway_url is None:
            raise ValueError("METRICS_MODE=push needs PUSHGATEWAY_URL, such as http://localhost:9091")
        if self.backoff_base_seconds > self.backoff_max_seconds:
            raise ValueError(
                f"BACKOFF_BASE_SECONDS ({self.backoff_base_seconds:g}) must not exceed "
                f"BACKOFF_MAX_SECONDS ({self.backoff_max_seconds:g})"
            )
        floor, start, ceiling = (
            self.rate_limit_floor_per_second,
            self.rate_limit_per_second,
            self.rate_limit_ceiling_per_second,
        )
        if self.rate_limit_strategy == "adaptive" and not floor <= start <= ceiling:
            raise ValueError(
                f"RATE_LIMIT_PER_SECOND ({start:g}) must lie between RATE_LIMIT_FLOOR_PER_SECOND ({floor:g}) and "
                f"RATE_LIMIT_CEILING_PER_SECOND ({ceiling:g}) for RATE_LIMIT_STRATEGY=adaptive"
            )
        return self

    @model_validator(mode="after")
    def _redis_is_named_once(self) -> "Settings":
        if self.redis_url and (self.redis_host or self.redis_password):
            raise ValueError("REDIS_URL is set, and so is REDIS_HOST or REDIS_PASSWORD; set the URL, or its parts")
        if self.redis_password and not self.redis_host:
            raise ValueError("REDIS_PASSWORD is set without REDIS_HOST")
        return self

    @cached_property
    def home(self) -> Path:
        """The instance home, absolute: Dagster's history, sessions, spools, caches."""
        return _absolute(self.dagster_home)

    @cached_property
    def session_leases(self) -> Path:
        """Where sessions are leased: one place for all instances of this user, since a session is one thing."""
        return _absolute(self.xdg_state_home or Path("~/.local/state")) / "tg-pipeline" / "leases"

    @cached_property
    def chats_path(self) -> Path:
        """The registry of chats, absolute."""
        return _absolute(self.chats_file)

    @cached_property
    def server_key_path(self) -> Path | None:
        """The public key of a test server, absolute; None in production."""
        return _absolute(self.telegram_server_public_key) if self.telegram_server_public_key else None

    @cached_property
    def data_root(self) -> UPath:
        """Where day files live: a directory, or any fsspec URL. SettingsError where nothing installed can open it."""
        try:
            root = UPath(self.data_uri) if "://" in self.data_uri else UPath(_absolute(Path(self.data_uri)))
            root.fs  # noqa: B018 - loads the driver
        except (ValueError, ImportError, OSError) as error:
            raise SettingsError(
                f"DATA_URI: {self.data_uri.partition('://')[0]}:// cannot be opened ({error}). "
                "Allowed: a directory, or a URL of a file system whose fsspec driver is installed.",
                field="DATA_URI",
            ) from error
        return root

    @property
    def session_secrets(self) -> list[str]:
        """The session strings given, TELEGRAM_SESSION first."""
        given = [self.telegram_session] if self.telegram_session else []
        texts = [secret.get_secret_value() for secret in given]
        if self.telegram_sessions:
            texts += self.telegram_sessions.get_secret_value().split(",")
        return [text.strip() for text in texts if text.strip()]

    @property
    def redis(self) -> str | None:
        """The Redis to use, as a URL with its password; None where none is set."""
        if self.redis_url:
            return self.redis_url.get_secret_value()
        if not self.redis_host:
            return None
        password = f":{quote(self.redis_password.get_secret_value(), safe='')}@" if self.redis_password else ""
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{password}{host}:{self.redis_port}/0"

    @property
    def pushes_metrics(self) -> bool:
        """Whether metrics go to a Pushgateway."""
        return self.pushgateway_url is not None and self.metrics_mode != "scrape"

    @property
    def serves_metrics(self) -> bool:
        """Whether Prometheus can scrape metrics."""
        return self.metrics_mode != "push"

    @property
    def call_policy(self) -> CallPolicy:
        """Retries, waits, deadlines, breaker and budgets of a call."""
        return CallPolicy(
            deadline_seconds=self.call_deadline_seconds,
            max_attempts=self.retry_max_attempts,
            max_elapsed_seconds=self.retry_max_elapsed_seconds,
            backoff=self.backoff_strategy,
            backoff_base_seconds=self.backoff_base_seconds,
            backoff_max_seconds=self.backoff_max_seconds,
            flood_wait_max_seconds=self.flood_wait_max_seconds,
            breaker=BreakerPolicy(
                failures=self.circuit_breaker_failure_threshold,
                window_seconds=self.circuit_breaker_window_seconds,
                open_seconds=self.circuit_breaker_open_timeout_seconds,
                # A probe's connecting, and its answer: what takes longer is dead.
                probe_seconds=2 * self.call_deadline_seconds,
            ),
            rate=RatePolicy(
                self.rate_limit_strategy,
                start_per_second=self.rate_limit_per_second,
                floor_per_second=self.rate_limit_floor_per_second,
                ceiling_per_second=self.rate_limit_ceiling_per_second,
                burst=self.rate_limit_burst,
            ),
            strict_rate=RatePolicy(
                "fixed", start_per_second=self.rate_limit_strict_per_second, burst=self.rate_limit_strict_burst
            ),
        )

    @property
    def fetch_policy(self) -> FetchPolicy:
        """How a range is read."""
        return FetchPolicy(pages_in_flight=self.fetch_pages_in_flight)


def restrict_new_files(settings: Settings) -> None:
    """Keep others from reading what this process, or one that it starts, creates: UMASK."""
    os.umask(int(settings.umask, 8))


def inherited_environment() -> dict[str, str]:
    """A copy of this process's environment, to start child processes with."""
    return dict(os.environ)


def _absolute(path: Path) -> Path:
    return PROJECT_DIRECTORY / path.expanduser()


def environment_gives(key: str, value: str) -> bool:
    """Whether the environment itself, and not a .env file, sets the key to this value."""
    return os.environ.get(key) == value


def load_settings(**given: Any) -> Settings:
    """Read and check. SettingsError with every wrong key, what was found (secrets hidden) and what is allowed.

    `given` counts before the environment and `.env`; an empty text there means that a key is not set.
    """
    try:
        return Settings(**given)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{_undecodable()} is not text in UTF-8 ({error.reason}). Save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"{error.filename or '.env'} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        problems = error.errors(include_url=False)
        key = str(next(iter(problems[0]["loc"]), "")).upper()
        raise SettingsError("\n".join(map(_sentence, problems)), field=key) from None


def _undecodable() -> Path:
    """The .env file that is not text; the decoder does not name it."""
    for file in (PROJECT_DIRECTORY / ".env", Path.cwd() / ".env"):
        try:
            file.read_text("utf-8-sig")
        except FileNotFoundError:
            continue
        except UnicodeDecodeError:
            break
    return file


def _sentence(problem: Any) -> str:
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return f"Settings: {reason}."
    key = str(problem["loc"][0])
    secret = "SecretStr" in str(Settings.model_fields[key].annotation)
    found = "" if secret else f" Found {str(problem['input'])[:80]!r}."
    return f"{key.upper()}: {_allowed(key) or reason}.{found}"


def _allowed(key: str) -> str | None:
    """What a setting may be, in words; None where the reason of the refusal says it."""
    field = Settings.model_fields[key]
    bounds = {name: bound for limit in field.metadata for name, bound in asdict(limit).items()}
    if get_origin(field.annotation) is Literal:
        return f"must be one of {', '.join(get_args(field.annotation))}"
    if field.annotation is date:
        return f"must be a day from {bounds['ge']} on, written as YYYY-MM-DD"
    if field.annotation is float:
        lowest = f"above {bounds['gt']}, at most" if "gt" in bounds else f"from {bounds['ge']} to"
        return f"must be a number {lowest} {bounds['le']}"
    if field.annotation in {int, int | None}:
        lowest = bounds["gt"] + 1 if "gt" in bounds else bounds["ge"]
        highest = bounds["lt"] - 1 if "lt" in bounds else bounds["le"]
        return f"must be a whole number from {lowest} to {highest}"
    return None
