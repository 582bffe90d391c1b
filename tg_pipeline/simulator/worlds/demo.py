"""The demo world: a handful of chats that between them show everything an archiver must cope with."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from telethon import utils
from telethon.tl import types as tl

from tg_pipeline.simulator.world import World
from tg_pipeline.simulator.worlds.bodies import FOREIGN_CHANNEL_ID
from tg_pipeline.simulator.worlds.channel import AlbumTimeline, ChannelContent
from tg_pipeline.simulator.worlds.comments import DiscussionTimeline
from tg_pipeline.simulator.worlds.dialog import DialogContent
from tg_pipeline.simulator.worlds.discussion import DiscussionContent
from tg_pipeline.simulator.worlds.draws import derive, draw
from tg_pipeline.simulator.worlds.entities import (
    FOUNDED,
    access_hash,
    basic_group,
    broadcast,
    full_basic_group,
    full_channel,
    no_full_chat,
    supergroup,
)
from tg_pipeline.simulator.worlds.group import GroupContent
from tg_pipeline.simulator.worlds.ids import NO_GAPS, Gaps, IdPattern
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.people import USER_IDS_FROM, People
from tg_pipeline.simulator.worlds.synthetic import SyntheticChat
from tg_pipeline.simulator.worlds.timeline import DailyTimeline

SELF_ID = 500_000_001
FRIEND_ID = 500_000_002
FIRST_DAY = datetime.fromtimestamp(FOUNDED, UTC).date()
BURST_DAY = date(2024, 2, 29)
BURST = 50_000
MIGRATION_DAY = date(2024, 1, 1)
HORIZON = timedelta(days=366)
"""How long after its start a world goes on making messages."""

ACCOUNT_SEQUENCE = 3
"""Basic groups and private chats take their ids from one sequence per account: each takes every third."""


def build_world(seed: int, now: float, clock: Callable[[], float] = time.time) -> World:
    """The demo world as a server started at `now` (POSIX seconds) shows it; every chat is an `Overlay` on `clock`.

    History begins on 2023-01-01 and goes on for a year after `now`. It depends on `seed` alone: another `now` shows
    more or less of the same messages.
    """
    last_day = max(FIRST_DAY, datetime.fromtimestamp(now, UTC).date()) + HORIZON
    demo = _Demo(seed, [FIRST_DAY + timedelta(days=n) for n in range((last_day - FIRST_DAY).days + 1)])
    chats = [
        demo.busy(),
        *demo.channel_and_discussion(),
        demo.quiet(),
        demo.empty(),
        *demo.moved(),
        demo.burst(),
        demo.basic(),
        demo.friend(),
    ]
    return World({utils.get_peer_id(chat.peer): Overlay(chat, clock) for chat in chats}, demo.me)


class _Demo:
    """The chats of one seed over some days."""

    def __init__(self, seed: int, days: list[date]) -> None:
        self._seed = seed
        self._days = days
        self.me = self._account(SELF_ID, "Demo", is_self=True, phone="9996621234")
        self._people = People(seed)
        self._people.introduce(self.me, broadcast(seed, FOREIGN_CHANNEL_ID, "World news 🌐", "foreign_news"))

    def busy(self) -> SyntheticChat:
        """A busy forum: 1,000 to 1,500 messages a day."""
        entity = supergroup(self._seed, 1_700_000_001, "Busy group", "demo_busy", forum=True)
        return self._group(entity, lambda draws, _day: 1_000 + draws % 501, Gaps(47, 3))

    def quiet(self) -> SyntheticChat:
        """Four messages a week; days with none, one and two."""
        entity = supergroup(self._seed, 1_700_000_002, "Quiet group", "demo_quiet")
        return self._group(entity, lambda draws, _day: (1, 0, 1, 0, 2, 1, 0, 0)[draws & 7], Gaps(9, 1))

    def empty(self) -> SyntheticChat:
        """No messages."""
        entity = supergroup(self._seed, 1_700_000_003, "Empty group", "demo_empty")
        return self._group(entity, lambda _draws, _day: 0, NO_GAPS)

    def burst(self) -> SyntheticChat:
        """Days of 0, 1, 2 and 5, and one of 50,000; the first and last of a day are at its edges."""
        entity = supergroup(self._seed, 1_700_000_006, "Burst group", "demo_burst")
        special = {BURST_DAY - timedelta(days=1): 1, BURST_DAY: BURST, BURST_DAY + timedelta(days=1): 0}
        return self._group(
            entity,
            lambda draws, day: special.get(day, (0, 1, 2, 5)[draws & 3]),
            Gaps(199, 1),
            on_edges=True,
        )

    def channel_and_discussion(self) -> tuple[SyntheticChat, SyntheticChat]:
        """A channel of 30 to 50 posts a day, and the group that discusses it."""
        channel = broadcast(self._seed, 1_700_000_004, "Demo channel 📣", "demo_channel", signatures=True)
        group = supergroup(self._seed, 1_700_000_005, "Demo channel chat", "demo_channel_chat")
        channel.has_link = group.has_link = True
        own, groups_own = derive(self._seed, "demo_channel"), derive(self._seed, "demo_channel_chat")
        ids = IdPattern(derive(own, "ids"), Gaps(29, 1))
        group_ids = IdPattern(derive(groups_own, "ids"), Gaps(47, 3))
        counts = [30 + draw(own, day.toordinal()) % 21 for day in self._days]
        timeline = AlbumTimeline(self._days[0], counts, derive(own, "dates"))
        posts = ChannelContent(own, channel, timeline, group.id)
        comments = DiscussionContent(groups_own, group, group_ids, channel, ids, posts)
        self._people.introduce(channel)
        return (
            SyntheticChat(
                peer=tl.PeerChannel(channel.id),
                entity=channel,
                timeline=timeline,
                ids=ids,
                content=posts,
                directory=self._people,
                describe=lambda last_id: full_channel(channel, last_id, linked=group),
            ),
            SyntheticChat(
                peer=tl.PeerChannel(group.id),
                entity=group,
                timeline=DiscussionTimeline(timeline),
                ids=group_ids,
                content=comments,
                directory=self._people,
                describe=lambda last_id: full_channel(group, last_id, linked=channel),
            ),
        )

    def moved(self) -> tuple[SyntheticChat, SyntheticChat]:
        """A supergroup, and the basic group that it was until the end of 2023; the ids of the two collide."""
        entity = supergroup(self._seed, 1_700_000_007, "Moved group", "demo_moved")
        heir = tl.InputChannel(entity.id, entity.access_hash)
        old_entity = basic_group(4_000_001, entity.title, migrated_to=heir)
        old_days = [day for day in self._days if day < MIGRATION_DAY]
        counts = self._counts("demo_moved_old", old_days, lambda draws, _day: draws % 12)
        last = sum(counts) - 1
        old = self._dialog(
            old_entity,
            tl.PeerChat(old_entity.id),
            counts,
            lane=1,
            actions={last: tl.MessageActionChatMigrateTo(channel_id=entity.id)},
        )
        birth = tl.MessageActionChannelMigrateFrom(title=entity.title, chat_id=old_entity.id)
        new = self._group(
            entity,
            lambda draws, _day: 1 + draws % 25,
            Gaps(47, 3),
            days=[day for day in self._days if day >= MIGRATION_DAY],
            birth=birth,
            describe=lambda last_id: full_channel(
                entity,
                last_id,
                migrated_from=old_entity,
                migrated_from_max_id=old.ids.id_of(last),
            ),
        )
        return new, old

    def basic(self) -> SyntheticChat:
        """A basic group, which has no username."""
        entity = basic_group(4_000_002, "Basic group")
        counts = self._counts("demo_basic", self._days, lambda draws, _day: draws % 6)
        return self._dialog(entity, tl.PeerChat(entity.id), counts, lane=2, actions={})

    def friend(self) -> SyntheticChat:
        """A private conversation with one user."""
        entity = self._account(FRIEND_ID, "Ana", last_name="Silva", username="demo_friend", contact=True)
        counts = self._counts("demo_friend", self._days, lambda draws, _day: draws % 9)
        return self._dialog(entity, tl.PeerUser(entity.id), counts, lane=3, actions={})

    def _account(self, user_id: int, first_name: str, **fields: object) -> tl.User:
        return tl.User(id=user_id, access_hash=access_hash(self._seed, user_id), first_name=first_name, **fields)

    def _counts(self, label: str, days: list[date], per_day: Callable[[int, date], int]) -> list[int]:
        own = derive(self._seed, label)
        return [per_day(draw(own, day.toordinal()), day) for day in days]

    def _group(
        self,
        entity: tl.Channel,
        per_day: Callable[[int, date], int],
        gaps: Gaps,
        *,
        days: list[date] | None = None,
        birth: tl.TypeMessageAction | None = None,
        on_edges: bool = False,
        describe: Callable[[int], tl.messages.ChatFull] | None = None,
    ) -> SyntheticChat:
        days = self._days if days is None else days
        own = derive(self._seed, entity.username)
        counts = self._counts(entity.username, days, per_day)
        ids = IdPattern(derive(own, "ids"), gaps)
        return SyntheticChat(
            peer=tl.PeerChannel(entity.id),
            entity=entity,
            timeline=DailyTimeline(days[0], counts, derive(own, "dates"), on_edges=on_edges),
            ids=ids,
            content=GroupContent(own, entity, ids, birth=birth),
            directory=self._people,
            describe=describe or (lambda last_id: full_channel(entity, last_id)),
        )

    def _dialog(
        self,
        entity: tl.Chat | tl.User,
        peer: tl.PeerChat | tl.PeerUser,
        counts: list[int],
        *,
        lane: int,
        actions: dict[int, tl.TypeMessageAction],
    ) -> SyntheticChat:
        own = derive(self._seed, f"dialog:{entity.id}")
        ids = IdPattern(derive(own, "ids"), first=lane, stride=ACCOUNT_SEQUENCE)
        others = [entity.id] if isinstance(entity, tl.User) else [USER_IDS_FROM + n for n in range(1, 12)]
        if isinstance(entity, tl.User):
            self._people.introduce(entity)
        members = [self._people.user(user_id) for user_id in (SELF_ID, *others)]
        if isinstance(entity, tl.Chat):
            actions = {0: tl.MessageActionChatCreate(title=entity.title, users=others), **actions}
        return SyntheticChat(
            peer=peer,
            entity=entity,
            timeline=DailyTimeline(self._days[0], counts, derive(own, "dates")),
            ids=ids,
            content=DialogContent(own, peer, ids, [user.id for user in members], actions),
            directory=self._people,
            describe=no_full_chat if isinstance(entity, tl.User) else lambda _last: full_basic_group(entity, members),
        )
