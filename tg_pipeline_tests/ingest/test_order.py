"""Messages dated out of the order of their ids, chats that moved: one case each, over the simulator and in memory."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange, day_end, day_start
from tg_pipeline.contracts.errors import ChatMoved
from tg_pipeline.simulator import World
from tg_pipeline.simulator.worlds import Overlay, build_world, synthetic_chat
from tg_pipeline.storage.day_store import DayStore
from tg_pipeline.storage.verify import FindingKind, verify_day
from tg_pipeline_tests.ingest.archive import Archive, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said
from tg_pipeline_tests.telegram_account import ME, account, world_of

DAY = date(2024, 3, 1)
DAYS = [DAY + timedelta(days=n) for n in range(5)]
ONE = DayRange(DAY, DAY)
NOON = day_start(DAY) + 43_200
LATER = float(day_end(DAYS[-1]) + 86_400)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with temporary_archive() as files:
        yield files


def hourly(days: int = 5) -> list[Said]:
    """A message an hour."""
    return [Said(n + 1, day_start(DAY) + n * 3_600) for n in range(24 * days)]


def dated(messages: list[Said], **at: int) -> list[Said]:
    """The same with other dates: `m30=-86_400` dates message 30 a day earlier."""
    return [Said(m.id, m.at + at.get(f"m{m.id}", 0), m.text) for m in messages]


@pytest.mark.parametrize("shift", [-86_400, -3 * 86_400, 86_400])
def test_over_the_simulator_a_day_by_day_fetch_finds_a_message_dated_elsewhere(tmp_path: Path, shift: int) -> None:
    days = DayRange(DAYS[0], DAYS[-1])
    base = synthetic_chat("busy", per_day={DAY: 3}, first_day=DAY, last_day=DAY)
    chat = Overlay(base.base, lambda: LATER)
    for n in range(1, 120 * 5):
        chat.add(f"m{n}", date=day_start(DAY) + n * 720 + (shift if n == 420 else 0))
    with account(world_of(chat), tmp_path / "range") as whole:
        whole.fetch("busy", days)
        expected = whole.files()
    with account(world_of(chat), tmp_path / "days") as instance:
        for day in days:
            instance.fetch("busy", DayRange(day, day))
        assert instance.files() == expected
        store = DayStore(instance.settings.data_root)
        home = DAYS[3] + timedelta(seconds=shift)
        assert any(message.text == "m420" for message in store.load("busy", home).messages)


def test_a_message_dated_ahead_does_not_end_the_day(archive: Archive) -> None:
    messages = dated(hourly(), m10=2 * 86_400, m12=2 * 86_400)
    archive.fetch(MemoryHistory(messages, LATER, page_size=10), ONE)
    assert archive.ids(ONE) == {DAY: [n for n in range(1, 25) if n not in {10, 12}]}
    header = archive.store.header(CHAT, DAYS[2])
    assert header is not None
    assert (header.sealed, header.first_message_id, header.last_message_id) == (False, 10, 12)
    archive.fetch(MemoryHistory(messages, LATER), DayRange(DAYS[1], DAYS[2]))
    assert archive.ids(DayRange(DAYS[2], DAYS[2]))[DAYS[2]] == [10, 12, *range(49, 73)]


def test_a_read_of_a_day_does_not_call_deleted_what_lies_elsewhere(archive: Archive) -> None:
    messages = dated(hourly(), m30=-86_400)
    for day in DAYS[:3]:
        archive.fetch(MemoryHistory(messages, LATER), DayRange(day, day))
    assert archive.ids(ONE)[DAY] == [*range(1, 25), 30]
    left = [m for m in messages if m.id not in {1, 24}]
    again = archive.fetch(MemoryHistory(left, LATER, page_size=5), ONE)
    assert (again.days[0].deleted, again.days[0].added) == (2, 0)
    assert [m["id"] for m in archive.messages(DAY) if m["deleted"]] == [1, 24]


def test_days_in_order_cost_no_call_more(archive: Archive) -> None:
    messages = [Said(n + 1, day_start(DAY) + n * 300) for n in range(288 * 5)]
    calls = []
    for day in DAYS:
        history = MemoryHistory(messages, LATER)
        archive.fetch(history, DayRange(day, day))
        calls.append(history.calls)
    assert sum(calls) <= 5 * 3 + 1


def test_a_group_that_moved_ends_with_its_last_day_and_says_where_it_went(archive: Archive) -> None:
    history = MemoryHistory(hourly(2), LATER, moved_to=-1_000_000_000_099)
    with pytest.raises(ChatMoved, match="-1000000000099"):
        archive.fetch(history, DayRange(DAYS[0], DAYS[3]))
    assert archive.is_tidy()
    headers = [archive.store.header(CHAT, day) for day in DAYS[:4]]
    assert [header and [(c.kind, c.chat_id) for c in header.conditions] for header in headers] == [
        [],
        [("moved", -1_000_000_000_099)],
        None,
        None,
    ]
    assert [f.kind for f in verify_day(archive.store, CHAT, DAYS[1])] == [FindingKind.MOVED]
    with pytest.raises(ChatMoved):
        archive.fetch(MemoryHistory(hourly(2), LATER, moved_to=-1_000_000_000_099), DayRange(DAYS[2], DAYS[3]))
    assert archive.store.header(CHAT, DAYS[2]) is None
    archive.fetch(MemoryHistory(hourly(2), LATER, moved_to=-1_000_000_000_099), ONE)


def test_over_the_simulator_a_group_that_moved_says_so(tmp_path: Path) -> None:
    now = datetime(2025, 5, 6, 12, tzinfo=UTC).timestamp()
    world = build_world(0, now)
    groups = (chat for chat in world.chats.values() if isinstance(chat.entity, tl.Chat))
    group = Overlay(next(chat for chat in groups if not chat.entity.deactivated), lambda: now)
    last = group.migrate(tl.Channel(id=77, title="Team", photo=tl.ChatPhotoEmpty(), date=None, access_hash=8))
    moved = World({utils.get_peer_id(group.peer): group}, ME)
    day = date(2025, 5, 6)
    with account(moved, tmp_path) as instance:
        with pytest.raises(ChatMoved):
            instance.fetch(
                RegisteredChat(slug="team", chat=str(utils.get_peer_id(group.peer))),
                DayRange(day, day + timedelta(days=3)),
            )
        store = DayStore(instance.settings.data_root)
        header = store.header(next(store.slugs()), day)
        assert header is not None
        assert header.last_message_id == last
        assert [(c.kind, c.chat_id) for c in header.conditions] == [("moved", -1_000_000_000_077)]
