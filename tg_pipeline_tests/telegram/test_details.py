"""What is learned of a chat before it is registered."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from telethon.tl import types as tl

from tg_pipeline.contracts.days import day_of
from tg_pipeline.simulator import Simulator, Undecodable
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.hidden import HiddenPast
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.telegram.details import chat_details, visible
from tg_pipeline.telegram.resolver import Resolver
from tg_pipeline_tests.telegram.conftest import Connect
from tg_pipeline_tests.telegram_account import world_of

NOW = 1_750_000_000.0


@pytest.fixture(scope="module")
def demo() -> Iterator[Simulator]:
    with Simulator(build_world(0, NOW), clock=lambda: NOW) as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("name", "first_day", "migrated_from", "linked"),
    [
        ("@demo_busy", date(2023, 1, 1), None, None),
        ("@demo_empty", None, None, None),
        ("@demo_channel", date(2023, 1, 1), None, -1_001_700_000_005),
        ("@demo_channel_chat", date(2023, 1, 1), None, -1_001_700_000_004),
        ("@demo_moved", date(2024, 1, 1), -4_000_001, None),
        ("-4000002", date(2023, 1, 1), None, None),
        ("@demo_friend", date(2023, 1, 1), None, None),
    ],
)
async def test_first_day_migration_and_linked_chat_are_told(
    demo: Simulator,
    connect: Connect,
    tmp_path: Path,
    name: str,
    first_day: date | None,
    migrated_from: int | None,
    linked: int | None,
) -> None:
    connection = connect(demo.new_session())
    resolver = Resolver(connection, PeerCache(tmp_path / "peers.sqlite"), "500")
    details = await chat_details(connection, resolver, name)
    assert (details.first_day, details.migrated_from, details.linked) == (first_day, migrated_from, linked)
    assert connection.meter.total_calls <= 3
    if linked is not None:
        await resolver.resolve(str(linked))
        assert connection.meter.total_calls <= 3


@pytest.mark.parametrize("odd", [1, 31, 300])
async def test_the_first_day_is_found_where_the_first_messages_cannot_be_decoded(
    connect: Connect, tmp_path: Path, odd: int
) -> None:
    chat = synthetic_chat("busy", per_day=30, first_day=date(2024, 1, 5), last_day=date(2024, 1, 14))
    ids = [message.id for message in chat.messages(0, odd, NOW)]
    with Simulator(world_of(chat)) as simulator:
        simulator.faults.add(Undecodable(ids=frozenset(ids), method="messages.*"))
        connection = connect(simulator.session)
        details = await chat_details(connection, Resolver(connection, PeerCache(tmp_path / "p.sqlite"), "500"), "@busy")
        assert details.first_day == date(2024, 1, 5)


class OddFullForm(HiddenPast):
    """A channel whose full form holds something that cannot be decoded."""

    def full(self, now: float) -> tl.messages.ChatFull:
        answer = super().full(now)
        answer.full_chat._bytes = lambda: b"\x11\xba\xdd\x0d"
        return answer


@pytest.mark.parametrize("hidden", [0, 40])
async def test_a_channel_whose_full_form_cannot_be_decoded_is_done_without(
    connect: Connect, tmp_path: Path, hidden: int
) -> None:
    chat = OddFullForm(
        synthetic_chat("busy", per_day=30, first_day=date(2024, 1, 1), last_day=date(2024, 1, 5)), hidden
    )
    with Simulator(world_of(chat)) as simulator:
        connection = connect(simulator.session)
        resolver = Resolver(connection, PeerCache(tmp_path / "peers.sqlite"), "500")
        details = await chat_details(connection, resolver, "@busy")
        assert details.first_day == date(2024, 1, 2 if hidden else 1)
        assert (await visible(connection, details.peer)).first_id == (hidden + 1)


@pytest.mark.parametrize(
    ("name", "up_to", "first_id", "begins", "calls"),
    [
        ("busy", 0, 1, date(1970, 1, 1), 1),
        ("busy", 40, 41, date(2024, 1, 2), 2),
        ("busy", 10_000, 10_001, None, 2),
        ("500000002", 0, 1, date(2024, 1, 1), 1),
        ("500000002", 40, 41, date(2024, 1, 2), 1),
        ("500000002", 10_000, None, None, 1),
    ],
)
async def test_how_far_back_an_account_sees(
    connect: Connect, tmp_path: Path, name: str, up_to: int, first_id: int | None, begins: date | None, calls: int
) -> None:
    friend = tl.User(id=500_000_002, access_hash=2, first_name="Friend")
    supergroup = synthetic_chat("busy", per_day=30, first_day=date(2024, 1, 1), last_day=date(2024, 1, 5))
    private = replace(supergroup.base, peer=tl.PeerUser(friend.id), entity=friend)  # type: ignore[type-var] # a dataclass
    chats = [HiddenPast(supergroup, up_to), HiddenPast(private, up_to)]
    with Simulator(world_of(*chats)) as simulator:
        connection = connect(simulator.session)
        resolver = Resolver(connection, PeerCache(tmp_path / "peers.sqlite"), "500")
        peer = await resolver.resolve(name)
        before = connection.meter.total_calls
        seen = await visible(connection, peer)
        assert (seen.first_id, None if seen.begins is None else day_of(seen.begins)) == (first_id, begins)
        assert connection.meter.total_calls - before == calls
