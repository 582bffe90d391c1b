"""A chat's history over the wire: every message once, whatever is uncertain about Telegram's paging."""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tg_pipeline.contracts.days import day_start
from tg_pipeline.contracts.errors import ChatMoved, ChatNotFound
from tg_pipeline.contracts.history import Cursor
from tg_pipeline.simulator import HistoryRules, Simulator
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.telegram.history import ChatHistory
from tg_pipeline.telegram.resolver import Resolver
from tg_pipeline_tests.telegram.conftest import Connect
from tg_pipeline_tests.telegram_account import Account, account, first_days, plain_world, world_of

START = day_start(date(2024, 1, 1))


@pytest.fixture
def chat() -> Overlay:
    """250 messages, ten a day."""
    return synthetic_chat("alpha", per_day=10, first_day=date(2024, 1, 1), last_day=date(2024, 1, 25))


@pytest.fixture
def other() -> Overlay:
    return synthetic_chat("beta", per_day=1)


@pytest.fixture
def sim(chat: Overlay, other: Overlay) -> Iterator[Simulator]:
    with Simulator(world_of(chat, other)) as simulator:
        yield simulator


@pytest.fixture
def cache(tmp_path: Path) -> PeerCache:
    return PeerCache(tmp_path / "peers.sqlite")


@pytest.fixture
async def history(connect: Connect, cache: PeerCache) -> ChatHistory:
    connection = connect()
    resolver = Resolver(connection, cache, "500")
    peer = await resolver.resolve("@alpha")
    return ChatHistory(connection, resolver, peer, name="@alpha", slug="alpha")


async def test_pages_ascend_from_a_moment_and_on_from_an_id(history: ChatHistory) -> None:
    first = await history.page(Cursor(since=START))
    second = await history.page(Cursor(since=START, after_id=first.ids[-1]))
    third = await history.page(Cursor(since=START, after_id=second.ids[-1]))
    end = await history.page(Cursor(since=START, after_id=third.ids[-1]))
    assert [len(page.ids) for page in (first, second, third, end)] == [100, 100, 50, 0]
    ids = [*first.ids, *second.ids, *third.ids]
    assert ids == sorted(set(ids))
    assert first.timestamps[0] >= START


async def test_a_page_says_who_is_in_it_and_what_was_said(history: ChatHistory) -> None:
    page = await history.page(Cursor(since=START))
    records = page.records()
    assert [(r.id, r.timestamp) for r in records] == list(zip(page.ids, page.timestamps, strict=True))
    assert {r.body["from_id"] for r in records} <= page.participants().keys() | {None}


async def test_the_beginning_of_time_is_a_moment_too(history: ChatHistory) -> None:
    page = await history.page(Cursor(since=day_start(date(1900, 1, 1))))
    assert page.timestamps[0] - START < 86_400


async def test_a_stale_access_hash_is_resolved_anew_once(
    history: ChatHistory, cache: PeerCache, sim: Simulator
) -> None:
    good = history.peer
    history.peer = replace(good, access_hash=1)
    cache.remember("500", [history.peer])
    assert (await history.page(Cursor(since=START))).ids
    assert history.peer == good
    assert cache.by_id("500", good.marked_id) == good
    assert [e["method"] for e in sim.journal].count("contacts.resolveUsername") == 2


async def test_a_chat_that_is_gone_is_told_after_one_resolve(
    history: ChatHistory, chat: Overlay, sim: Simulator
) -> None:
    history.peer = replace(history.peer, access_hash=1)
    chat.rename("elsewhere")
    with pytest.raises(ChatNotFound, match="USERNAME_NOT_OCCUPIED"):
        await history.page(Cursor(since=START))


async def test_a_stale_hash_never_leads_to_the_chat_that_took_the_name(
    history: ChatHistory, chat: Overlay, other: Overlay
) -> None:
    history.peer = replace(history.peer, access_hash=1)
    chat.rename(None)
    other.rename("alpha")
    with pytest.raises(ChatMoved):
        await history.page(Cursor(since=START))


async def test_a_new_username_is_said_once_and_remembered(
    history: ChatHistory, chat: Overlay, cache: PeerCache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    chat.rename("omega")
    for _ in range(3):
        assert (await history.page(Cursor(since=START))).ids
    assert caplog.text.count("is called @omega on Telegram now, not @alpha any more") == 1
    assert cache.by_username("500", "omega") is not None


@pytest.mark.parametrize("flags", [*itertools.product([False, True], repeat=4)])
def test_whatever_is_uncertain_of_paging_every_message_is_read(tmp_path: Path, flags: tuple[bool, ...]) -> None:
    rules = HistoryRules(*flags)
    world = world_of(
        synthetic_chat("edges", per_day=57, first_day=date(2024, 1, 1), last_day=date(2024, 1, 12), on_edges=True)
    )
    with Simulator(world, rules=rules) as simulator:
        report = Account(simulator, tmp_path).fetch("edges", first_days(10))
        assert report.messages == 570
        assert [day.message_count for day in sorted(report.days, key=lambda d: d.day)] == [57] * 10


def test_a_whole_fetch_costs_its_pages_and_three_calls(tmp_path: Path) -> None:
    with account(plain_world(per_day=95, days=20), tmp_path, fetch_pages_in_flight=1) as login:
        report = login.fetch("busy", first_days(18))
        assert report.messages == 95 * 18
        assert login.calls() == {
            "help.getConfig": 1,
            "users.getUsers": 1,
            "contacts.resolveUsername": 1,
            "messages.getHistory": 18,
        }
        before = login.files()
        login.fetch("busy", first_days(18))
        assert login.calls() - Counter({"messages.getHistory": 36}) == {
            "help.getConfig": 2,
            "users.getUsers": 1,
            "contacts.resolveUsername": 1,
        }
        assert login.files() == before
