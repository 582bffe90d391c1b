"""A simulated Telegram, and settings that point at it: the real client, a real connection, nothing mocked."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.app.fetch import fetch
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.settings import Settings
from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.world import Chat
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.unpaced import UNPACED

ME = tl.User(id=500_000_001, is_self=True, first_name="Me", access_hash=1, phone="9996621234")
FIRST_DAY = date(2024, 1, 1)


def world_of(*chats: Chat) -> World:
    """A world of these chats."""
    return World({utils.get_peer_id(chat.peer): chat for chat in chats}, ME)


def plain_world(per_day: int = 30, days: int = 10, username: str = "busy") -> World:
    """One supergroup with `per_day` messages on each of the first days of 2024."""
    last_day = date.fromordinal(FIRST_DAY.toordinal() + days - 1)
    return world_of(synthetic_chat(username, per_day=per_day, first_day=FIRST_DAY, last_day=last_day))


def first_days(count: int) -> DayRange:
    """The first `count` days of 2024."""
    return DayRange(FIRST_DAY, date.fromordinal(FIRST_DAY.toordinal() + count - 1))


class Account:
    """One instance: a home, an archive, and the settings of a login at the simulator."""

    def __init__(self, simulator: Simulator, home: Path, *, sessions: Sequence[str] = (), **overrides: Any) -> None:
        self.simulator = simulator
        self.home = home
        self.settings = settings_for(simulator, home, sessions=sessions or [simulator.session], **overrides)

    def fetch(self, chat: RegisteredChat | str, days: DayRange, on_progress: OnProgress | None = None) -> FetchReport:
        """Fetch in this process, from connecting to committed files."""
        found = chat if isinstance(chat, RegisteredChat) else RegisteredChat(slug=chat, chat=f"@{chat}")
        return asyncio.run(fetch(self.settings, found, days, on_progress=on_progress))

    def files(self) -> dict[str, bytes]:
        """The archive, by path within it."""
        root = Path(self.settings.data_uri)
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    def calls(self) -> Counter[str]:
        """What the simulator was asked, by method."""
        return Counter(entry["method"] for entry in self.simulator.journal)


def settings_for(simulator: Simulator, home: Path, *, sessions: Sequence[str], **overrides: Any) -> Settings:
    """Settings of an instance in `home` that is logged in with `sessions`; nothing comes from a .env file."""
    values: dict[str, Any] = {
        "telegram_api_id": simulator.api_id,
        "telegram_api_hash": simulator.api_hash,
        "telegram_sessions": ",".join(sessions),
        "telegram_server_public_key": simulator.public_key,
        "dagster_home": home / "instance",
        "data_uri": str(home / "data"),
        "chats_file": home / "chats.yaml",
        "xdg_state_home": home / "state",
        "backoff_base_seconds": 0.001,
        "backoff_max_seconds": 0.01,
        **UNPACED,
    }
    return Settings(_env_file=None, **(values | overrides))


@contextmanager
def account(world: World, home: Path, **overrides: Any) -> Iterator[Account]:
    """A simulator of `world` for as long as the block runs, and an account at it."""
    with Simulator(world) as simulator:
        yield Account(simulator, home, **overrides)
