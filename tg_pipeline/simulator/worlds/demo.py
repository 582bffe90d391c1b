"""The demo world: a handful of chats that between them show everything an archiver must cope with."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.simulator.world import Chat, World
from tg_pipeline.simulator.worlds.draws import derive, draw
from tg_pipeline.simulator.worlds.entities import FOUNDED, access_hash, full_channel, supergroup
from tg_pipeline.simulator.worlds.group import GroupContent
from tg_pipeline.simulator.worlds.ids import Gaps, IdPattern
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.people import People
from tg_pipeline.simulator.worlds.synthetic import SyntheticChat
from tg_pipeline.simulator.worlds.timeline import DailyTimeline

SELF_ID = 500_000_001
FIRST_DAY = datetime.fromtimestamp(FOUNDED, UTC).date()
HORIZON = timedelta(days=366)
"""How long after its start a world goes on making messages."""


def build_world(seed: int, now: float, clock: Callable[[], float] = time.time) -> World:
    """The demo world as a server started at `now` (POSIX seconds) shows it; every chat is an `Overlay` on `clock`.

    History begins on 2023-01-01 and goes on for a year after `now`. It depends on `seed` alone: another `now` shows more or less
    of the same messages.
    """
    user = tl.User(
        id=SELF_ID, is_self=True, access_hash=access_hash(seed, SELF_ID), first_name="Demo", phone="9996621234"
    )
    last_day = max(FIRST_DAY, datetime.fromtimestamp(now, UTC).date()) + HORIZON
    days = [FIRST_DAY + timedelta(days=n) for n in range((last_day - FIRST_DAY).days + 1)]
    people = People(seed)
    chats: list[Chat] = [_busy(seed, days, people), _quiet(seed, days, people)]
    return World({utils.get_peer_id(chat.peer): Overlay(chat, clock) for chat in chats}, user)


def _busy(seed: int, days: list[date], people: People) -> SyntheticChat:
    own = derive(seed, "demo_busy")
    counts = [1_000 + draw(own, day.toordinal()) % 501 for day in days]
    entity = supergroup(seed, 1_700_000_001, "Busy group", "demo_busy", forum=True)
    return _group(own, entity, counts, people, gaps=Gaps(47, 3), forum=True)


def _quiet(seed: int, days: list[date], people: People) -> SyntheticChat:
    own = derive(seed, "demo_quiet")
    counts = [(0, 0, 1, 0, 2, 1, 0, 0)[draw(own, day.toordinal()) % 8] for day in days]
    entity = supergroup(seed, 1_700_000_002, "Quiet group", "demo_quiet")
    return _group(own, entity, counts, people, gaps=Gaps(9, 1))


def _group(
    own: int,
    entity: tl.Channel,
    counts: list[int],
    people: People,
    *,
    gaps: Gaps,
    forum: bool = False,
) -> SyntheticChat:
    ids = IdPattern(derive(own, "ids"), gaps)
    return SyntheticChat(
        peer=tl.PeerChannel(entity.id),
        entity=entity,
        timeline=DailyTimeline(FIRST_DAY, counts, derive(own, "dates")),
        ids=ids,
        content=GroupContent(own, entity, ids, forum=forum),
        directory=people,
        describe=lambda last_id: full_channel(entity, last_id),
    )
