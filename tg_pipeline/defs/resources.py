"""Telegram as a resource of assets, with the settings of a run."""

from functools import cached_property, partial
from typing import Self

import dagster as dg
from pydantic import Field, SecretStr

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.defs.interrupts import run_interruptibly
from tg_pipeline.monitoring.metrics import pushed
from tg_pipeline.settings import Settings, environment_gives, load_settings


class TelegramResource(dg.ConfigurableResource):  # type: ignore[type-arg] # its own value
    """Reads chats with these settings. Of a secret Dagster has the name of its variable only, and shows that.

    Each fetch leases a session and connects; the next one may get another session.
    """

    values: dict[str, str] = Field(description="As .env would hold them; empty where a key is not set.")
    secrets: dict[str, str] = Field(description="Given by the environment. A run reads those of .env by itself.")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As `settings` are. A value that may hold a login, such as a URL with one, counts as a secret."""
        values: dict[str, str] = {}
        secrets: dict[str, str] = {}
        for name in Settings.model_fields:
            value = getattr(settings, name)
            text = value.get_secret_value() if isinstance(value, SecretStr) else "" if value is None else str(value)
            if not isinstance(value, SecretStr) and "@" not in text:
                values[name] = text
            elif environment_gives(name.upper(), text):
                secrets[name] = dg.EnvVar(name.upper())
        return cls(values=values, secrets=secrets)

    @cached_property
    def settings(self) -> Settings:
        """The settings themselves. SettingsError where a secret is not what it may be."""
        return load_settings(**self.values, **self.secrets)

    def fetch(self, chat: RegisteredChat, days: DayRange, on_progress: OnProgress | None = None) -> FetchReport:
        """As `app.fetch.fetch`, from a thread that runs no event loop."""
        from tg_pipeline.app.fetch import fetch  # noqa: PLC0415 - brings Telethon, which only fetching needs

        with pushed(self.settings):
            return run_interruptibly(partial(fetch, self.settings, chat, days, on_progress=on_progress))
