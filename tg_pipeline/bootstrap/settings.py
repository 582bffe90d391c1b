"""Every setting of the program: from the environment or `.env`, checked at start. `.env.example` lists them all."""

import os
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

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.contracts.policy import CallPolicy, FetchPolicy

PROJECT_DIRECTORY = Path(__file__).resolve().parents[2]
"""The checkout; relative paths in settings are relative to it, not to wherever a command was typed."""

API_HASH_LENGTH = 32

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """Names are the environment's, in lower case. Units are in the names or the comments of `.env.example`."""

    model_config = SettingsConfigDict(env_file=(PROJECT_DIRECTORY / ".env", ".env"), extra="ignore", frozen=True)

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
    start_date: date = date(2020, 1, 1)

    redis_url: SecretStr | None = None
    redis_host: str | None = None
    redis_port: int = Field(default=6379, ge=1, le=65_535)
    redis_password: SecretStr | None = None

    fetch_concurrency: int = Field(default=1, ge=1, le=64)
    parallelism_max: int = Field(default=2, ge=1, le=16)
    backfill_days_per_run: int = Field(default=366, ge=1, le=3_660)
    lease_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60

    call_deadline_seconds: Seconds = 30
    retry_max_attempts: int = Field(default=5, ge=1, le=100)
    retry_max_elapsed_seconds: Seconds = 120
    backoff_base_seconds: Seconds = 0.5
    backoff_max_seconds: Seconds = 10
    flood_wait_max_seconds: int = Field(default=300, ge=0, le=86_400)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any, info: Any) -> Any:
        """`KEY=` in a .env file means that the key is not set."""
        unset = isinstance(value, str) and not value.strip()
        return cls.model_fields[info.field_name].get_default() if unset else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

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
        if self.backoff_base_seconds > self.backoff_max_seconds:
            raise ValueError(
                f"BACKOFF_BASE_SECONDS ({self.backoff_base_seconds:g}) must not exceed "
                f"BACKOFF_MAX_SECONDS ({self.backoff_max_seconds:g})"
            )
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
        except (ValueError, ImportError, NotImplementedError) as error:
            raise SettingsError(
                f"DATA_URI: {self.data_uri.partition('://')[0]}:// cannot be opened ({error}). "
                "Allowed: a directory, or a URL of a file system whose fsspec driver is installed."
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
        return f"redis://{password}{self.redis_host}:{self.redis_port}/0"

    @property
    def call_policy(self) -> CallPolicy:
        """Retries, waits and deadlines of one call."""
        return CallPolicy(
            deadline_seconds=self.call_deadline_seconds,
            max_attempts=self.retry_max_attempts,
            max_elapsed_seconds=self.retry_max_elapsed_seconds,
            backoff_base_seconds=self.backoff_base_seconds,
            backoff_max_seconds=self.backoff_max_seconds,
            flood_wait_max_seconds=self.flood_wait_max_seconds,
        )

    @property
    def fetch_policy(self) -> FetchPolicy:
        """How a range is read."""
        return FetchPolicy(pages_in_flight=self.parallelism_max)


def inherited_environment() -> dict[str, str]:
    """A copy of this process's environment, to start child processes with."""
    return dict(os.environ)


def _absolute(path: Path) -> Path:
    return PROJECT_DIRECTORY / path.expanduser()


def load_settings() -> Settings:
    """Read and check. SettingsError with every wrong key, what was found (secrets hidden) and what is allowed."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(problem) for problem in error.errors(include_url=False))) from None


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
        return "must be a day, written as YYYY-MM-DD"
    if field.annotation is float:
        lowest = f"above {bounds['gt']}, at most" if "gt" in bounds else f"from {bounds['ge']} to"
        return f"must be a number {lowest} {bounds['le']}"
    if field.annotation in {int, int | None}:
        lowest = bounds["gt"] + 1 if "gt" in bounds else bounds["ge"]
        highest = bounds["lt"] - 1 if "lt" in bounds else bounds["le"]
        return f"must be a whole number from {lowest} to {highest}"
    return None
