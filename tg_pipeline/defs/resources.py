"""Telegram as a resource of assets, with the settings of a run."""

from functools import cached_property
from typing import Self

import dagster as dg
from pydantic import Field, PrivateAttr, SecretStr

from tg_pipeline.dagster_client.names import SESSION_TAG
from tg_pipeline.defs.run_fetches import RunFetches
from tg_pipeline.settings import Settings, environment_gives, load_settings


class TelegramResource(dg.ConfigurableResource):  # type: ignore[type-arg] # its own value
    """Reads the chats of a run with these settings. Of a secret Dagster has the name of its variable only."""

    values: dict[str, str] = Field(description="As .env would hold them; empty where a key is not set.")
    secrets: dict[str, str] = Field(description="Given by the environment. A run reads those of .env by itself.")
    _session: str | None = PrivateAttr(default=None)
    _fetches: RunFetches | None = PrivateAttr(default=None)

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

    @property
    def fetches(self) -> RunFetches:
        """The fetches of this run."""
        if self._fetches is None:
            self._fetches = RunFetches(self.settings, self._session)
        return self._fetches

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """As Dagster calls it when a run begins."""
        self._session = context.run.tags.get(SESSION_TAG) if context.run else None

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """As Dagster calls it when a run ends, however that is."""
        if self._fetches is not None:
            self._fetches.close()
