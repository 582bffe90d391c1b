"""A chat is resolved once, remembered with its access hash, and never silently exchanged for another."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.errors import ChatMoved, ChatNotFound, FloodWaitError, InputError
from tg_pipeline.contracts.names import readings
from tg_pipeline.simulator import Error, Simulator, Undecodable, World
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat
from tg_pipeline.state.peers import PeerCache
from tg_pipeline.telegram.peers import input_peer
from tg_pipeline.telegram.resolver import Resolver
from tg_pipeline_tests.telegram.conftest import Connect
from tg_pipeline_tests.telegram_account import world_of

NOW = 1_750_000_000.0
DIALOGS = 230


@pytest.fixture
def chats() -> list[Overlay]:
    """Many quiet chats, titled by their usernames; every third has never had a message."""
    return [synthetic_chat(f"quiet_{n:03}", per_day=int(n % 3 > 0)) for n in range(DIALOGS)]


@pytest.fixture
def world(chats: list[Overlay]) -> World:
    return world_of(*chats)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        yield simulator


@pytest.fixture
def cache(tmp_path: Path) -> PeerCache:
    return PeerCache(tmp_path / "peers.sqlite")


@pytest.fixture
def resolver(connect: Connect, cache: PeerCache) -> Resolver:
    return Resolver(connect(), cache, "500")


def asked(sim: Simulator) -> list[str]:
    """What was asked besides the greeting."""
    return [entry["method"] for entry in sim.journal if entry["method"] != "help.getConfig"]


async def test_a_username_costs_one_call_once_across_processes(
    sim: Simulator, resolver: Resolver, connect: Connect, cache: PeerCache, tmp_path: Path
) -> None:
    peer = await resolver.resolve("@Quiet_007")
    assert (peer.kind, peer.username, peer.title) == ("channel", "quiet_007", "quiet_007")
    for spelling in ("quiet_007", "https://t.me/QUIET_007/12", str(peer.marked_id), str(peer.id)):
        assert await resolver.resolve(spelling) == peer
    later = Resolver(connect(), PeerCache(tmp_path / "peers.sqlite"), "500")
    assert await later.resolve("@quiet_007") == peer
    assert asked(sim) == ["contacts.resolveUsername"]


async def test_access_hashes_belong_to_an_account(
    sim: Simulator, resolver: Resolver, connect: Connect, cache: PeerCache
) -> None:
    await resolver.resolve("@quiet_007")
    await Resolver(connect(), cache, "501").resolve("@quiet_007")
    assert asked(sim) == ["contacts.resolveUsername"] * 2


async def test_a_name_that_nobody_has_is_told(resolver: Resolver) -> None:
    with pytest.raises(ChatNotFound, match="USERNAME_NOT_OCCUPIED"):
        await resolver.resolve("@nobody_here")
    for name in ("No such title", "-1000000000001"):
        with pytest.raises(ChatNotFound, match=f"^{name}: no such chat among those this account can see"):
            await resolver.resolve(name)


@pytest.mark.parametrize("place", [0, 100, 199, DIALOGS - 1])
async def test_an_id_is_found_among_all_dialogs_page_by_page(
    sim: Simulator, resolver: Resolver, chats: list[Overlay], place: int
) -> None:
    wanted = chats[place].peer.channel_id
    assert (await resolver.resolve(f"t.me/c/{wanted}/1")).id == wanted
    assert asked(sim) == ["messages.getDialogs"] * 3
    assert (await resolver.resolve(f"-100{chats[DIALOGS - 1 - place].peer.channel_id}")).title
    assert asked(sim) == ["messages.getDialogs"] * 3


async def test_a_sweep_passes_over_dialogs_without_messages(sim: Simulator, connect: Connect, cache: PeerCache) -> None:
    silent = [synthetic_chat(f"silent_{n:03}", per_day=0) for n in range(150)]
    with Simulator(world_of(synthetic_chat("speaking"), *silent)) as other:
        resolver = Resolver(connect(other.new_session()), cache, "500")
        assert (await resolver.resolve(f"-100{silent[20].peer.channel_id}")).title == "silent_020"


@pytest.mark.parametrize("odd", [[0], [1], [2], [0, 1], [1, 3]])
async def test_what_cannot_be_decoded_in_one_dialog_hides_no_other(
    connect: Connect, cache: PeerCache, odd: list[int]
) -> None:
    named = [synthetic_chat(f"chat_{n}", per_day=1, last_day=date(2024, 1, 9 - n)) for n in range(5)]
    newest = [chat.messages(chat.size(NOW) - 1, chat.size(NOW), NOW)[0].id for chat in named]
    with Simulator(world_of(*named)) as other:
        rule = Undecodable(ids=frozenset(newest[n] for n in odd), method="messages.getDialogs")
        other.faults.add(rule)
        resolver = Resolver(connect(other.new_session()), cache, "500")
        for n in set(range(5)) - set(odd):
            assert (await resolver.resolve(f"-100{named[n].peer.channel_id}")).title == f"chat_{n}"
        with pytest.raises(ChatNotFound, match="left out"):
            await resolver.resolve("No such title")


@pytest.fixture
def titled(chats: list[Overlay]) -> Callable[[int, str], None]:
    def title(place: int, text: str) -> None:
        chats[place].entity.title = text

    return title


async def test_a_title_is_found_among_the_dialogs_as_they_are_now(
    sim: Simulator, resolver: Resolver, cache: PeerCache, titled: Callable[[int, str], None]
) -> None:
    titled(150, "Cook club")
    found = await resolver.resolve("Cook club")
    cache.remember("500", [replace(found, title="Book club")])
    with pytest.raises(ChatNotFound):
        await resolver.resolve("Book club")
    assert await resolver.resolve("Cook club") == found


async def test_a_title_of_one_word_is_found_where_it_is_nobodys_username(
    sim: Simulator, resolver: Resolver, chats: list[Overlay], titled: Callable[[int, str], None]
) -> None:
    titled(150, "Books")
    titled(151, "quiet_007")
    assert (await resolver.resolve("Books")).id == chats[150].peer.channel_id
    assert (await resolver.resolve("quiet_007")).id == chats[7].peer.channel_id, "a username comes first"
    before = asked(sim).count("messages.getDialogs")
    for name in ("@Books", "t.me/Books"):
        with pytest.raises(ChatNotFound):
            await resolver.resolve(name)
    assert asked(sim).count("messages.getDialogs") == before, "only a bare word may be a title"
    with pytest.raises(ChatNotFound, match="Novels"):
        await resolver.resolve("Novels")


async def test_a_title_that_several_dialogs_bear_is_refused_with_their_ids(
    sim: Simulator, resolver: Resolver, titled: Callable[[int, str], None], chats: list[Overlay]
) -> None:
    titled(3, "Book club")
    titled(200, "Book club")
    ids = ", ".join(f"-100{chats[n].peer.channel_id}" for n in (3, 200))
    with pytest.raises(InputError, match=rf"2 dialogs are titled 'Book club' \(ids {ids}\)"):
        await resolver.resolve("Book club")


async def test_a_registered_chat_is_the_one_of_its_id_whatever_it_is_called_now(
    sim: Simulator, resolver: Resolver, chats: list[Overlay]
) -> None:
    known = await resolver.resolve("@quiet_001")
    chats[1].rename("quiet_renamed")
    chats[2].rename("quiet_001")
    assert (await resolver.resolve("@quiet_001", expected_id=known.marked_id)).id == known.id
    assert asked(sim) == ["contacts.resolveUsername"]


async def test_a_username_that_changed_hands_is_not_followed(
    sim: Simulator, resolver: Resolver, chats: list[Overlay], connect: Connect, tmp_path: Path
) -> None:
    known = await resolver.resolve("@quiet_001")
    chats[1].rename("quiet_renamed")
    chats[2].rename("quiet_001")
    forgetful = Resolver(connect(), PeerCache(tmp_path / "new.sqlite"), "500")
    with pytest.raises(ChatMoved, match=r"@quiet_001 now belongs to another chat .*kept here"):
        await forgetful.resolve("@quiet_001", expected_id=known.marked_id)


async def test_a_flood_of_resolving_is_not_hidden(sim: Simulator, resolver: Resolver) -> None:
    sim.faults.add(Error(method="contacts.resolveUsername", error="FLOOD_WAIT_80000"))
    with pytest.raises(FloodWaitError) as flood:
        await resolver.resolve("@quiet_001")
    assert (flood.value.seconds, flood.value.method) == (80_000, "contacts.resolveUsername")


async def test_every_kind_of_chat_in_the_demo_world_is_resolved(connect: Connect, cache: PeerCache) -> None:
    with Simulator(build_world(0, NOW)) as demo:
        resolver = Resolver(connect(demo.new_session()), cache, "500")
        found = {chat_id: await resolver.resolve(str(chat_id)) for chat_id in demo.world.chats}
        assert {chat_id: peer.marked_id for chat_id, peer in found.items()} == {n: n for n in demo.world.chats}
        assert (await resolver.resolve("@demo_friend")).kind == "user"


async def test_a_forgotten_peer_is_gone(cache: PeerCache, resolver: Resolver) -> None:
    peer = Peer("channel", 5, 1, "five")
    cache.remember("500", [peer])
    resolver.forget(peer)
    assert cache.by_id("500", peer.marked_id) is None


@pytest.mark.parametrize("kind", ["channel", "chat", "user"])
def test_an_input_peer_carries_id_and_hash(kind: str) -> None:
    peer = replace(Peer("channel", 5, 99), kind=kind)  # type: ignore[arg-type] # one of the three kinds
    made = input_peer(peer)
    assert 5 in vars(made).values()
    assert kind == "chat" or made.access_hash == 99


def test_a_bare_number_may_be_a_user_a_channel_or_a_group() -> None:
    assert set(readings(5)) == {5, -5, -1_000_000_000_005}
    assert set(readings(-5)) == {-5}
