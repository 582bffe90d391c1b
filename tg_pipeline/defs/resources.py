"""Telegram as a resource of assets."""

from functools import partial

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.defs.interrupts import run_interruptibly
from tg_pipeline.monitoring.metrics import pushed
from tg_pipeline.settings import Settings


class TelegramResource:
    """Reads chats with these settings. A plain object, so that no secret can show among a resource's configuration.

    Each fetch leases a session and connects; the next one may get another session.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def fetch(self, chat: RegisteredChat, days: DayRange, on_progress: OnProgress | None = None) -> FetchReport:
        """As `app.fetch.fetch`, from a thread that runs no event loop."""
        from tg_pipeline.app.fetch import fetch  # noqa: PLC0415 - brings Telethon, which only fetching needs

        with pushed(self._settings):
            return run_interruptibly(partial(fetch, self._settings, chat, days, on_progress=on_progress))
