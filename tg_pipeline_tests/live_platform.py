"""One `tg-pipeline up` for the live tests: Redis, Loki and a trace collector beside it, Telegram simulated.

The tests share it (fixture `live`, tests of the xdist group "live"); each works on chats of its own.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from tg_pipeline.app.archive import open_archive
from tg_pipeline.contracts.archive import Archive
from tg_pipeline.simulator import Simulator
from tg_pipeline.simulator.world import Chat
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.chaos.tree import Tree
from tg_pipeline_tests.defs.pipeline import environment_of
from tg_pipeline_tests.loki import Loki, loki
from tg_pipeline_tests.otlp import Collector, collector
from tg_pipeline_tests.telegram_account import FIRST_DAY, ME, Account, first_days, world_of

TODAY = datetime.now(UTC).date()
PER_DAY = 5
SESSIONS = 2
PASSWORD = "hunter2-of-redis"
COLLECTOR_SECRET = "let-me-in"


@dataclass(frozen=True)
class Kept:
    """A chat: registered from `start` on, with `per_day` messages from there to `last`; none, and it is not found."""

    start: date
    last: date
    per_day: int = PER_DAY

    def chat(self, slug: str) -> Chat:
        return synthetic_chat(slug, per_day=self.per_day, first_day=self.start, last_day=self.last)


CHATS = {
    **{slug: Kept(TODAY - timedelta(9), TODAY - timedelta(1)) for slug in ("one", "two", "three", "four")},
    "traced": Kept(TODAY - timedelta(3), TODAY - timedelta(1)),
    "logged": Kept(TODAY - timedelta(3), TODAY),
    "private": Kept(TODAY - timedelta(3), TODAY),
    "long": Kept(FIRST_DAY, first_days(40).last),
    "short": Kept(FIRST_DAY, first_days(40).last),
    **{slug: Kept(FIRST_DAY, first_days(2).last) for slug in ("left", "right")},
    "gone": Kept(FIRST_DAY, FIRST_DAY, per_day=0),
    "stopped": Kept(FIRST_DAY, first_days(10).last, per_day=30),
}


@dataclass(frozen=True)
class LivePlatform:
    """What runs, and what it writes to. `url` is the webserver's, `log` what `up` and Dagster's processes print."""

    account: Account
    redis_url: str
    url: str
    log: Path
    loki: Loki
    otlp: Collector

    @property
    def store(self) -> Archive:
        return open_archive(self.account.settings)

    @property
    def end_of_log(self) -> str:
        return self.log.read_text()[-5_000:]

    def history_calls(self, slug: str) -> int:
        """Return how many pages of this chat Telegram was asked for."""
        chat = CHATS[slug].chat(slug).peer.channel_id
        asked = (e for e in self.account.simulator.journal if e["method"] == "messages.getHistory")
        return sum(entry["params"]["peer"].get("channel_id") == chat for entry in asked)

    def push(self, **command: Any) -> None:
        """Push a command onto the list, as an external client would."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.rpush("tg_commands", json.dumps({"command": "fetch"} | command))


@contextmanager
def live_platform(home: Path) -> Iterator[LivePlatform]:
    """Run the platform with every chat of `CHATS` registered, until the block ends."""
    lines = [f'  - {{slug: {slug}, chat: "@{slug}", start: {kept.start}}}\n' for slug, kept in CHATS.items()]
    (home / "chats.yaml").write_text("".join(["chats:\n", *lines]))
    world = world_of(*(kept.chat(slug) for slug, kept in CHATS.items() if kept.per_day))
    with (
        local_redis(home / "redis") as open_url,
        loki() as lines_to,
        collector() as spans_to,
        Simulator(world) as simulator,
    ):
        with redis.Redis.from_url(open_url) as client:
            client.config_set("requirepass", PASSWORD)
        url = open_url.replace("://", f"://:{PASSWORD}@")
        sessions = [simulator.session, *(simulator.new_session() for _ in range(SESSIONS - 1))]
        account = Account(simulator, home, sessions=sessions, redis_url=url, fetch_pages_in_flight=1)
        environment = environment_of(account) | {
            "REDIS_URL": url,
            "FETCH_CONCURRENCY": str(SESSIONS),
            "BACKFILL_DAYS_PER_RUN": "31",
            "TELEGRAM_PHONE": f"+{ME.phone}",
            "LOG_LEVEL": "DEBUG",
            "LOKI_URL": lines_to.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": spans_to.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{COLLECTOR_SECRET}",
        }
        tree = Tree(account.settings.home, environment, home / "log")
        try:
            tree.start()
            yield LivePlatform(account, url, tree.url, home / "log", lines_to, spans_to)
        finally:
            tree.end()
