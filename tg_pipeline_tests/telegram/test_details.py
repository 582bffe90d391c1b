"""What is learned of a chat before it is registered."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tg_pipeline.simulator import Simulator
from tg_pipeline.simulator.worlds import build_world
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.telegram.details import chat_details
from tg_pipeline.telegram.resolver import Resolver
from tg_pipeline_tests.telegram.conftest import Connect

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
