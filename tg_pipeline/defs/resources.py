"""Telegram as a resource of assets."""

import dagster as dg
from pydantic import PrivateAttr

from tg_pipeline.bootstrap.settings import Settings, load_settings
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.defs.interrupts import run_interruptibly


class TelegramResource(dg.ConfigurableResource):  # type: ignore[type-arg] # its parameter is for yielded values only
    """Reads chats with the settings of the process it runs in: nothing to configure, nothing secret to show.

    Settings are read once a run. Each fetch leases a session and connects; the next one may get another session.
    """

    _settings: Settings = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Read the settings."""
        self._settings = load_settings()

    def fetch(self, chat: RegisteredChat, days: DayRange, on_progress: OnProgress | None = None) -> FetchReport:
        """As `bootstrap.fetching.fetch`, from a thread that runs no event loop."""
        from tg_pipeline.bootstrap.fetching import fetch  # noqa: PLC0415 - brings Telethon, which only fetching needs

        return run_interruptibly(fetch(self._settings, chat, days, on_progress=on_progress))
