"""Several chats over one connection, against the simulator."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import redis

from tg_pipeline.app.chats_at_once import ChatsAtOnce
from tg_pipeline.app.login import DEAD_SESSIONS, logged_in, sessions_here
from tg_pipeline.app.shared_state import state_store
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import (
    ApiRejected,
    ChatPrivate,
    FloodWaitError,
    LeaseUnavailable,
    SessionRevoked,
    Stopped,
)
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.contracts.stopping import Stop
from tg_pipeline.settings import Settings
from tg_pipeline.simulator import Error, Latency
from tg_pipeline.simulator.world import Chat
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state import store_lease
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.app.test_accounts import IVAN, OTHER, add, dialog, header_account, other_world, two
from tg_pipeline_tests.telegram_account import FIRST_DAY, ME, Account, account, first_days, world_of

HISTORY = "messages.getHistory"
NAMES = ("one", "two", "three")
PER_DAY = 20
DAYS = first_days(2)
Ended = FetchReport | Exception


class Sleeper:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.time = time.time()

    def now(self) -> float:
        return self.time

    steady = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def chats(*names: str, per_day: int = PER_DAY) -> list[Chat]:
    return [synthetic_chat(name, per_day=per_day, first_day=FIRST_DAY, last_day=DAYS.last) for name in names]


def named(*names: str) -> list[RegisteredChat]:
    return [RegisteredChat(slug=name, chat=f"@{name}") for name in names]


async def fetched(
    settings: Settings,
    registered: Sequence[RegisteredChat],
    *,
    stop: Stop | None = None,
    clock: Clock | None = None,
    prefer: str | None = None,
    on_progress: OnProgress | None = None,
) -> Mapping[str, Ended]:
    """What became of each chat."""
    at_once = ChatsAtOnce(settings, stop or Stop(), clock, prefer)
    ended = await asyncio.gather(
        *(at_once.fetch(chat, DAYS, on_progress) for chat in registered), return_exceptions=True
    )
    return {chat.slug: found for chat, found in zip(registered, ended, strict=True) if isinstance(found, Ended)}


def whole(ended: Mapping[str, Ended]) -> set[str]:
    """The chats of which each message is in its file."""
    reports = {slug: report for slug, report in ended.items() if isinstance(report, FetchReport)}
    return {slug for slug, r in reports.items() if [d.message_count for d in r.days] == [PER_DAY] * len(DAYS)}


def in_flight(found: Account) -> int:
    """The most chats that were being read at once, by the first and the last page that each was asked for."""
    channels = [e["params"]["peer"]["channel_id"] for e in found.simulator.journal if e["method"] == HISTORY]
    spans = [(channels.index(c), len(channels) - channels[::-1].index(c)) for c in set(channels)]
    return max(sum(begin <= moment < end for begin, end in spans) for moment in range(len(channels)))


def test_chats_share_one_connection_and_one_login(tmp_path: Path) -> None:
    with account(world_of(*chats(*NAMES)), tmp_path) as found:
        assert whole(asyncio.run(fetched(found.settings, named(*NAMES)))) == set(NAMES)
        assert {entry["connection"] for entry in found.simulator.journal} == {1}
        assert found.calls()["users.getUsers"] == 1


@pytest.mark.parametrize("most", [1, 2, 3])
def test_so_many_chats_are_read_at_once(tmp_path: Path, most: int) -> None:
    world = world_of(*chats(*NAMES, "four", per_day=150))
    with account(world, tmp_path, parallelism_max=most, fetch_pages_in_flight=1) as found:
        found.simulator.faults.add(Latency(method=HISTORY, ms=10))
        asyncio.run(fetched(found.settings, named(*NAMES, "four")))
        assert in_flight(found) == most


def test_the_calls_of_each_chat_are_counted_apart(tmp_path: Path) -> None:
    with account(world_of(*chats(*NAMES)), tmp_path) as found:
        ended = asyncio.run(fetched(found.settings, named(*NAMES)))
        reports = [report for report in ended.values() if isinstance(report, FetchReport)]
        reported = sum((report.meter.calls for report in reports), Counter[str]())
        assert reported == found.calls() - Counter({"help.getConfig": 1})


@pytest.mark.parametrize(("error", "kind"), [("CHANNEL_PRIVATE", ChatPrivate), ("API_ID_INVALID", ApiRejected)])
def test_a_chat_that_fails_leaves_the_others_alone(tmp_path: Path, error: str, kind: type[Exception]) -> None:
    with account(world_of(*chats(*NAMES)), tmp_path, parallelism_max=3) as found:
        found.simulator.faults.add(Error(method=HISTORY, error=error, when={"chat": "two"}))
        ended = asyncio.run(fetched(found.settings, named(*NAMES)))
        assert isinstance(ended["two"], kind)
        assert whole(ended) == {"one", "three"}


def test_a_flood_wait_that_is_too_long_concerns_the_account_and_so_all_chats_that_are_not_done(tmp_path: Path) -> None:
    with account(world_of(*chats(*NAMES)), tmp_path, flood_wait_max_seconds=5, parallelism_max=1) as found:
        found.simulator.faults.add(Error(method=HISTORY, error="FLOOD_WAIT_9", when={"chat": "two"}))
        ended = asyncio.run(fetched(found.settings, named(*NAMES)))
        assert whole(ended) == {"one"}
        assert isinstance(ended["two"], FloodWaitError)
        assert isinstance(ended["three"], FloodWaitError)
        channels = {e["params"]["peer"]["channel_id"] for e in found.simulator.journal if e["method"] == HISTORY}
        assert len(channels) == 2, "and those do not ask again"


def test_all_of_them_keep_within_the_budget_of_their_account(tmp_path: Path) -> None:
    burst, per_second = 2, 1.0
    paced = {"rate_limit_per_second": per_second, "rate_limit_burst": burst, "parallelism_max": 3}

    with account(world_of(*chats(*NAMES, per_day=150)), tmp_path, **paced) as found:
        clock = Sleeper()
        began = clock.time
        asyncio.run(fetched(found.settings, named(*NAMES), clock=clock))
        calls = found.calls()[HISTORY]
        assert calls >= 9
        assert calls <= burst + per_second * (clock.time - began)


def test_the_session_is_free_afterwards(tmp_path: Path) -> None:
    async def work(settings: Settings) -> None:
        at_once = ChatsAtOnce(settings, Stop())
        for chat in named("one", "two"):
            await at_once.fetch(chat, DAYS)
            async with logged_in(settings):
                pass

    with account(world_of(*chats(*NAMES)), tmp_path, lease_wait_seconds=0) as found:
        asyncio.run(work(found.settings))


def test_each_chat_is_read_by_its_account_and_one_session_is_held_at_a_time(tmp_path: Path) -> None:
    public = chats("one", "two")
    with two(tmp_path, world_of(*public, dialog(1)), other_world(*public, dialog(2))) as both:
        mine = add(both.account("a"), str(IVAN), "mine")
        theirs = add(both.account("b"), str(IVAN), "theirs", OTHER.id)
        # Nobody waits for a session that this process holds: that would be LeaseUnavailable at once.
        settings = both.account("ab", lease_wait_seconds=0, parallelism_max=3).settings
        order = [theirs, *named("one"), mine, *named("two")]
        assert whole(asyncio.run(fetched(settings, order))) == {"theirs", "one", "mine", "two"}
        owners = [header_account(both.account(), slug) for slug in ("mine", "theirs")]
        assert owners == [ME.id, OTHER.id]


def test_of_sessions_that_are_equally_good_the_preferred_one_is_taken(tmp_path: Path) -> None:
    with two(tmp_path, world_of(*chats("one", "two")), other_world(*chats("one", "two"))) as both:
        settings = both.account("ab").settings
        prefer = list(sessions_here(settings))[1]
        asyncio.run(fetched(settings, named("one", "two"), prefer=prefer))
        asked_a, asked_b = both.history_calls()
        assert (asked_a, asked_b > 0) == (0, True)


def test_a_dead_session_is_noted_and_the_next_one_reads_all_chats(tmp_path: Path) -> None:
    with two(tmp_path, world_of(*chats(*NAMES)), other_world(*chats(*NAMES))) as both:
        both.a.faults.add(Error(method=HISTORY, error="SESSION_REVOKED"))
        settings = both.account("ab").settings
        assert whole(asyncio.run(fetched(settings, named(*NAMES)))) == set(NAMES)
        assert list(state_store(settings).hash_get(DEAD_SESSIONS)) == list(sessions_here(settings))[:1]


def test_the_only_session_being_dead_fails_every_chat(tmp_path: Path) -> None:
    with account(world_of(*chats(*NAMES)), tmp_path) as found:
        found.simulator.faults.add(Error(method=HISTORY, error="SESSION_REVOKED"))
        ended = asyncio.run(fetched(found.settings, named(*NAMES)))
        assert {type(error) for error in ended.values()} == {SessionRevoked}


def test_a_session_that_is_in_use_is_waited_for_once_and_fails_every_chat(tmp_path: Path) -> None:
    clock = Sleeper()
    began = clock.time

    async def work(settings: Settings) -> Mapping[str, Ended]:
        async with logged_in(settings):
            return await fetched(settings, named(*NAMES), clock=clock)

    with account(world_of(*chats(*NAMES)), tmp_path, lease_wait_seconds=60) as found:
        ended = asyncio.run(work(found.settings))
        assert {type(error) for error in ended.values()} == {LeaseUnavailable}
    assert clock.time - began < 61


def test_a_stop_keeps_what_is_in_hand_and_begins_no_other_chat(tmp_path: Path) -> None:
    async def work(settings: Settings) -> Mapping[str, Ended]:
        stop = Stop()
        return await fetched(settings, named(*NAMES), stop=stop, on_progress=lambda _: stop.ask())

    with account(world_of(*chats(*NAMES)), tmp_path, parallelism_max=2, fetch_pages_in_flight=1) as found:
        ended = asyncio.run(work(found.settings))
        assert isinstance(ended["three"], Stopped)
        assert len({e["params"]["peer"]["channel_id"] for e in found.simulator.journal if e["method"] == HISTORY}) == 2


def test_a_session_that_another_machine_took_over_ends_every_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_lease, "TTL_SECONDS", 0.2)
    with (
        local_redis(tmp_path / "redis") as url,
        account(
            world_of(*chats(*NAMES, per_day=500)),
            tmp_path,
            redis_url=url,
            fetch_pages_in_flight=1,
            lease_wait_seconds=0,
        ) as found,
    ):
        found.simulator.faults.add(Latency(method=HISTORY, ms=100))
        (session,) = sessions_here(found.settings)

        def take_over(_: object) -> None:
            with redis.Redis.from_url(url) as client:
                client.delete(*client.keys(f"*session:{session}*"))
            state_store(found.settings).acquire(f"session:{session}", "another", ttl_seconds=60)

        ended = asyncio.run(fetched(found.settings, named(*NAMES), on_progress=take_over))
        assert {type(error) for error in ended.values()} == {LeaseUnavailable}
        assert found.calls()[HISTORY] < len(NAMES) * len(DAYS) * 5, "before any of them was read to its end"
