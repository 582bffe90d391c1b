"""Messages dated out of the order of their ids, chats that moved: one case each, over the simulator and in memory."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.app.archive import open_archive
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange, day_end, day_start
from tg_pipeline.contracts.errors import ChatMoved
from tg_pipeline.contracts.findings import FindingKind
from tg_pipeline.simulator import World
from tg_pipeline.simulator.worlds.demo import MIGRATION_DAY, build_world
from tg_pipeline.simulator.worlds.entities import basic_group
from tg_pipeline.simulator.worlds.hidden import AddedLater
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.storage.layout import head_bytes
from tg_pipeline_tests.ingest.archive import Archive, temporary_archive
from tg_pipeline_tests.ingest.memory_history import CHAT, MemoryHistory, Said
from tg_pipeline_tests.telegram_account import ME, account, world_of

DAY = date(2024, 3, 1)
DAYS = [DAY + timedelta(days=n) for n in range(5)]
ONE = DayRange(DAY, DAY)
NOON = day_start(DAY) + 43_200
TEAM = "id4000077"
HEIR = tl.Channel(id=77, title="Team", photo=tl.ChatPhotoEmpty(), date=None, access_hash=8)
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


def friends(days: int) -> Overlay:
    """A basic group with a message an hour, which can be moved on the day after them."""
    entity = basic_group(4_000_077, "Team")
    empty = synthetic_chat("busy", per_day=0, first_day=DAY, last_day=DAY)
    base = replace(empty.base, peer=tl.PeerChat(entity.id), entity=entity)  # type: ignore[type-var] # a dataclass
    chat = Overlay(base, lambda: float(day_start(DAY) + days * 86_400 + 43_200))
    for n in range(24 * days):
        chat.add(f"m{n}", date=day_start(DAY) + n * 3_600)
    return chat


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
        store = open_archive(instance.settings)
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
    assert [f.kind for f in archive.store.verify_day(CHAT, DAYS[1])] == [FindingKind.MOVED]
    with pytest.raises(ChatMoved):
        archive.fetch(MemoryHistory(hourly(2), LATER, moved_to=-1_000_000_000_099), DayRange(DAYS[2], DAYS[3]))
    assert archive.store.header(CHAT, DAYS[2]) is None
    archive.fetch(MemoryHistory(hourly(2), LATER, moved_to=-1_000_000_000_099), ONE)


@pytest.mark.parametrize("entity_tells", [True, False])
@pytest.mark.parametrize("day_is_fetched", [True, False])
def test_a_group_that_moved_before_the_range_is_told_of_each_time(
    tmp_path: Path, *, entity_tells: bool, day_is_fetched: bool
) -> None:
    group, first = friends(days=2), DAY + timedelta(days=2)
    with account(world_of(group), tmp_path) as instance:
        chat = RegisteredChat(slug=TEAM, chat="-4000077")
        instance.fetch(chat, DayRange(DAYS[0], DAYS[1]))
        before = instance.files()
        instance.simulator.call(lambda: group.migrate(HEIR))
        if not entity_tells:
            group.entity.migrated_to = None
        if day_is_fetched:
            instance.fetch(chat, DayRange(first, first))
        for day in (DAYS[3], DAYS[4]):
            calls = instance.calls()["messages.getHistory"]
            with pytest.raises(ChatMoved, match="-1000000000077"):
                instance.fetch(chat, DayRange(day, day))
            assert instance.calls()["messages.getHistory"] - calls <= 2
            assert open_archive(instance.settings).header(TEAM, day) is None
        found = instance.files()
        assert all(found[name] == before[name] for name in before if name != "progress.json")
        store = open_archive(instance.settings)
        findings = list(store.verify_chat(TEAM, today=date(2024, 4, 1)))
        assert FindingKind.MOVED in {f.kind for f in findings if f.day == first}
        assert not [f for f in findings if f.day is not None and f.day < first]


def test_a_move_is_told_also_where_a_file_is_older_than_the_condition(tmp_path: Path) -> None:
    group = friends(days=1)
    group.migrate(HEIR)
    with account(world_of(group), tmp_path) as instance:
        chat = RegisteredChat(slug=TEAM, chat="-4000077")
        with pytest.raises(ChatMoved):
            instance.fetch(chat, DayRange(DAYS[0], DAYS[3]))
        store, last = open_archive(instance.settings), DAYS[1]
        header = store.header(TEAM, last)
        assert header is not None
        path = Path(store.where(TEAM, last))
        old = header.model_copy(update={"conditions": []})
        path.write_bytes(path.read_bytes().replace(head_bytes(header), head_bytes(old)))
        assert [f.kind for f in store.verify_day(TEAM, last)] == [FindingKind.MOVED]
        group.entity.migrated_to = None
        with pytest.raises(ChatMoved):
            instance.fetch(chat, DayRange(DAYS[2], DAYS[3]))


@pytest.mark.parametrize("earlier", [0, 30])
@pytest.mark.parametrize("parallelism", [1, 3])
def test_a_date_before_one_was_added_is_no_empty_history(tmp_path: Path, earlier: int, parallelism: int) -> None:
    """`earlier` messages are seen that were sent before the range and before the account was added."""
    group = friends(days=4)
    group.delete([m.id for m in group.messages(0, 48 - earlier, LATER)])
    with account(world_of(group), tmp_path / "whole") as instance:
        chat = RegisteredChat(slug=TEAM, chat="-4000077")
        instance.fetch(chat, DayRange(DAYS[1], DAYS[4]))
        expected = instance.files()
    late = AddedLater(group, day_start(DAYS[1]) + 90_000)
    with account(world_of(late), tmp_path / "late", fetch_pages_in_flight=parallelism) as instance:
        instance.fetch(chat, DayRange(DAYS[1], DAYS[4]))
        assert instance.files() == expected
        assert instance.calls()["messages.getHistory"] <= 20


def test_an_empty_range_of_a_group_is_asked_for_once_and_confirmed_once(tmp_path: Path) -> None:
    with account(world_of(friends(days=1)), tmp_path) as instance:
        chat = RegisteredChat(slug=TEAM, chat="-4000077")
        instance.fetch(chat, ONE)
        calls = instance.calls()["messages.getHistory"]
        instance.fetch(chat, DayRange(DAYS[1], DAYS[1]))
        assert instance.calls()["messages.getHistory"] == calls + 2, "the last message that is archived is still there"
        instance.fetch(chat, DayRange(DAYS[3], DAYS[4]))
        assert instance.calls()["messages.getHistory"] == calls + 5, "no date leads there; and is it cleared?"


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
        store = open_archive(instance.settings)
        header = store.header(next(store.slugs()), day)
        assert header is not None
        assert header.last_message_id == last
        assert [(c.kind, c.chat_id) for c in header.conditions] == [("moved", -1_000_000_000_077)]


def test_over_the_simulator_days_before_a_supergroup_are_said_to_be_those_of_its_basic_group(tmp_path: Path) -> None:
    world = build_world(0, datetime(2025, 5, 6, 12, tzinfo=UTC).timestamp())
    day = MIGRATION_DAY
    with account(world, tmp_path) as instance:
        before = instance.fetch("demo_moved", DayRange(day - timedelta(days=3), day - timedelta(days=2)))
        across = instance.fetch("demo_moved", DayRange(day - timedelta(days=1), day))
        after = instance.fetch("demo_moved", DayRange(day, day))
    assert [before.moved_from, across.moved_from, after.moved_from] == [-4_000_001, -4_000_001, None]
