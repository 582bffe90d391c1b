"""getHistory by Telegram's offset rules, against a model that knows nothing of ranks."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telethon import errors
from telethon.tl import types as tl

from tg_pipeline.simulator import HistoryRules, Simulator, World
from tg_pipeline.simulator.methods.history import Paged
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline_tests.simulator.clients import connected, history

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Asked:
    """The six fields of a request that choose a page."""

    offset_id: int = 0
    offset_date: datetime | None = None
    add_offset: int = 0
    limit: int = 100
    max_id: int = 0
    min_id: int = 0


def paged(messages: dict[int, float]) -> Paged:
    """`messages`: POSIX seconds by id, ascending."""
    return Paged(
        len(messages),
        lambda message_id: sum(one < message_id for one in messages),
        lambda moment: sum(when < moment for when in messages.values()),
    )


def model(messages: dict[int, float], asked: Asked) -> list[int]:
    """The page, newest first, as the documentation tells it: a list, an offset into it, a cut afterwards."""
    newest_first = sorted(messages, reverse=True)
    if asked.offset_id:
        offset = sum(one >= asked.offset_id for one in newest_first)
    elif asked.offset_date:
        offset = sum(messages[one] >= asked.offset_date.timestamp() for one in newest_first)
    else:
        offset = 0
    start = offset + asked.add_offset
    stop = start + min(asked.limit, 100)
    page = newest_first[max(0, start) : max(0, stop)]
    return [one for one in page if one > asked.min_id and (one < asked.max_id or not asked.max_id)]


ids = st.integers(0, 40)
requests = st.builds(
    Asked,
    offset_id=ids,
    offset_date=st.none() | st.integers(0, 400).map(lambda seconds: EPOCH + timedelta(seconds=seconds)),
    add_offset=st.integers(-130, 30),
    limit=st.integers(0, 130),
    max_id=ids,
    min_id=ids,
)
chats = st.sets(st.integers(1, 40)).map(
    lambda chosen: {one: EPOCH.timestamp() + 10 * (one // 2) for one in sorted(chosen)},
)


@given(messages=chats, asked=requests)
def test_a_page_is_what_the_documentation_says(messages: dict[int, float], asked: Asked) -> None:
    positions = paged(messages).page(asked, HistoryRules())
    assert [list(messages)[position] for position in reversed(positions)] == model(messages, asked)


TEN = {one: EPOCH.timestamp() + one for one in range(1, 11)}


@pytest.mark.parametrize(
    ("rules", "asked", "expected"),
    [
        (HistoryRules(), Asked(offset_date=EPOCH + timedelta(seconds=5), limit=2), [3, 4]),
        (HistoryRules(date_inclusive=True), Asked(offset_date=EPOCH + timedelta(seconds=5), limit=2), [4, 5]),
        (HistoryRules(), Asked(offset_id=9, offset_date=EPOCH + timedelta(seconds=5), limit=2), [7, 8]),
        (HistoryRules(date_wins=True), Asked(offset_id=9, offset_date=EPOCH + timedelta(seconds=5), limit=2), [3, 4]),
        (HistoryRules(), Asked(max_id=6, limit=3), []),
        (HistoryRules(cut_before_paging=True), Asked(max_id=6, limit=3), [3, 4, 5]),
        (HistoryRules(), Asked(offset_id=9, add_offset=-5, limit=5), [9, 10]),
        (HistoryRules(full_at_newest=True), Asked(offset_id=9, add_offset=-5, limit=5), [6, 7, 8, 9, 10]),
    ],
)
def test_each_doubtful_rule_can_be_turned_round(rules: HistoryRules, asked: Asked, expected: list[int]) -> None:
    assert [position + 1 for position in paged(TEN).page(asked, rules)] == expected


async def test_ascending_pages_read_a_whole_chat_once(sim: Simulator) -> None:
    read: list[int] = []
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        first_day = datetime(2024, 1, 1, tzinfo=UTC)
        page = await client(history(peer, offset_date=first_day, add_offset=-100))
        while page.messages:
            read += [message.id for message in reversed(page.messages)]
            page = await client(history(peer, offset_id=read[-1] + 1, add_offset=-100))
    assert read == list(range(1, 251))


async def test_an_answer_names_the_chat_the_senders_and_the_count(sim: Simulator, chat: Overlay) -> None:
    async with connected(sim) as client:
        page = await client(history(await client.get_input_entity("alpha"), limit=7))
    assert isinstance(page, tl.messages.ChannelMessages)
    assert page.count == 250
    assert [entity.id for entity in page.chats] == [chat.peer.channel_id]
    assert {user.id for user in page.users} >= {message.from_id.user_id for message in page.messages}
    expected = chat.messages(243, 250, datetime.now(UTC).timestamp())
    assert [bytes(message) for message in reversed(page.messages)] == [bytes(message) for message in expected]


async def test_edits_and_deletions_are_seen_on_the_next_read(sim: Simulator, chat: Overlay) -> None:
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        await client(history(peer))
        sim.call(lambda: chat.edit(249, "changed"))
        sim.call(lambda: chat.delete([248]))
        added = sim.call(lambda: chat.add("new"))
        page = await client(history(peer, limit=4))
    assert [message.id for message in page.messages] == [added, 250, 249, 247]
    assert [message.message for message in page.messages][::2] == ["new", "changed"]


async def test_the_memo_of_messages_stays_within_its_bytes(sim: Simulator) -> None:
    sim.server.serialiser._room = 2_000
    async with connected(sim) as client:
        peer = await client.get_input_entity("alpha")
        for _ in range(2):
            page = await client(history(peer))
            assert [message.id for message in page.messages] == list(range(250, 150, -1))
    assert len(sim.server.serialiser._memo) < 10


@pytest.mark.parametrize(
    ("peer", "error"),
    [
        (lambda chat: tl.InputPeerChannel(chat.peer.channel_id, 1), errors.ChannelInvalidError),
        (lambda _: tl.InputPeerChannel(1, 1), errors.ChannelInvalidError),
        (lambda _: tl.InputPeerChat(1), errors.PeerIdInvalidError),
        (lambda _: tl.InputPeerSelf(), errors.PeerIdInvalidError),
        (lambda _: tl.InputPeerEmpty(), errors.PeerIdInvalidError),
    ],
)
async def test_a_peer_that_is_not_there_is_refused(sim: Simulator, chat: Overlay, peer: Any, error: type) -> None:
    async with connected(sim) as client:
        with pytest.raises(error):
            await client(history(peer(chat)))


async def test_the_server_shows_what_its_clock_has_reached(world: World) -> None:
    noon = datetime(2024, 1, 3, tzinfo=UTC).timestamp()
    with Simulator(world, clock=lambda: noon) as sim:
        async with connected(sim) as client:
            page = await client(history(await client.get_input_entity("alpha")))
    assert page.messages[0].date < datetime(2024, 1, 3, tzinfo=UTC)
    assert page.count == 20
