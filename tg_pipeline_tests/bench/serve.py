"""The child process behind `local_telegram.serving`: one argument, JSON of what to serve and how late."""

import asyncio
import sys
from functools import partial

import orjson
from telethon.tl import types as tl

from tg_pipeline.simulator.main import serve
from tg_pipeline.simulator.telegram import Options
from tg_pipeline.simulator.world import World
from tg_pipeline.simulator.worlds.group import GroupContent
from tg_pipeline.simulator.worlds.ids import Gaps
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline_tests.bench.local_telegram import FIRST_DAY, ChatSpec

OWNER = tl.User(id=500_000_001, is_self=True, access_hash=1, first_name="Bench")


def main() -> None:
    """Serve until SIGTERM."""
    spec = orjson.loads(sys.argv[1])
    chats = [_chat(ChatSpec(**fields)) for fields in spec["chats"]]
    world = World({-(1_000_000_000_000 + chat.peer.channel_id): chat for chat in chats}, OWNER)
    asyncio.run(serve(world, Options(latency=spec["latency_ms"] / 1000)))


def _chat(spec: ChatSpec) -> Overlay:
    return synthetic_chat(
        spec.username,
        per_day=spec.per_day,
        first_day=FIRST_DAY,
        last_day=spec.last_day,
        gaps=Gaps(spec.visible, spec.missing),
        content=partial(GroupContent, population=spec.people),
    )


if __name__ == "__main__":
    main()
