"""One small world, and a server of it, for the tests of the simulator."""

from collections.abc import Iterator
from datetime import date

import pytest
from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.worlds.ids import NO_GAPS
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

ME = tl.User(id=500_000_001, is_self=True, access_hash=7, first_name="Me", username="me_myself", phone="9996621234")


@pytest.fixture
def chat() -> Overlay:
    """`alpha`: 250 messages with ids 1 to 250, ten a day from 2024-01-01 on."""
    return synthetic_chat("alpha", per_day=10, first_day=date(2024, 1, 1), last_day=date(2024, 1, 25), gaps=NO_GAPS)


@pytest.fixture
def world(chat: Overlay) -> World:
    """`alpha` and `beta`, which has no messages yet."""
    beta = synthetic_chat("beta", per_day=0)
    return World({utils.get_peer_id(each.peer): each for each in (chat, beta)}, ME)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """A server of `world`."""
    with Simulator(world) as simulator:
        yield simulator
