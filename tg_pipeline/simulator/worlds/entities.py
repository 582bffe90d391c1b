"""The TL objects that describe a chat itself: entity and full form."""

from datetime import UTC, datetime

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeChat
from tg_pipeline.simulator.worlds.draws import derive

FOUNDED = 1_672_531_200
"""2023-01-01T00:00:00Z, where synthetic history begins by default."""


def access_hash(seed: int, bare_id: int) -> int:
    """A positive 63-bit access hash."""
    return derive(seed, f"access:{bare_id}") >> 1


def supergroup(seed: int, bare_id: int, title: str, username: str | None, *, forum: bool = False) -> tl.Channel:
    """A supergroup: a channel in which everyone may write."""
    return _channel(seed, bare_id, title, username, megagroup=True, forum=forum or None)


def broadcast(seed: int, bare_id: int, title: str, username: str | None, *, signatures: bool = False) -> tl.Channel:
    """A channel that only its admins write in."""
    return _channel(seed, bare_id, title, username, broadcast=True, signatures=signatures or None)


def _channel(seed: int, bare_id: int, title: str, username: str | None, **flags: bool | None) -> tl.Channel:
    return tl.Channel(
        id=bare_id,
        title=title,
        photo=tl.ChatPhotoEmpty(),
        date=datetime.fromtimestamp(FOUNDED, UTC),
        access_hash=access_hash(seed, bare_id),
        username=username,
        participants_count=1_000,
        **flags,
    )


def basic_group(bare_id: int, title: str, *, migrated_to: tl.InputChannel | None = None) -> tl.Chat:
    """A basic group; one that became a supergroup is deactivated and names its heir."""
    return tl.Chat(
        id=bare_id,
        title=title,
        photo=tl.ChatPhotoEmpty(),
        participants_count=12,
        date=datetime.fromtimestamp(FOUNDED, UTC),
        version=1,
        deactivated=migrated_to is not None or None,
        migrated_to=migrated_to,
    )


def full_channel(
    entity: tl.Channel,
    last_id: int,
    *,
    linked: tl.Channel | None = None,
    migrated_from: tl.Chat | None = None,
    migrated_from_max_id: int | None = None,
) -> tl.messages.ChatFull:
    """The answer to channels.getFullChannel."""
    full = tl.ChannelFull(
        id=entity.id,
        about="",
        read_inbox_max_id=last_id,
        read_outbox_max_id=last_id,
        unread_count=0,
        chat_photo=tl.PhotoEmpty(id=0),
        notify_settings=tl.PeerNotifySettings(),
        bot_info=[],
        pts=last_id + 1,
        can_view_participants=entity.megagroup,
        participants_count=entity.participants_count,
        linked_chat_id=linked.id if linked else None,
        migrated_from_chat_id=migrated_from.id if migrated_from else None,
        migrated_from_max_id=migrated_from_max_id,
    )
    chats: list[TypeChat] = [chat for chat in (entity, linked, migrated_from) if chat is not None]
    return tl.messages.ChatFull(full_chat=full, chats=chats, users=[])


def full_basic_group(entity: tl.Chat, users: list[tl.User]) -> tl.messages.ChatFull:
    """The answer to messages.getFullChat."""
    members = [
        tl.ChatParticipant(user_id=user.id, inviter_id=users[0].id, date=datetime.fromtimestamp(FOUNDED, UTC))
        for user in users
    ]
    full = tl.ChatFull(
        id=entity.id,
        about="",
        participants=tl.ChatParticipants(chat_id=entity.id, participants=members, version=entity.version),
        notify_settings=tl.PeerNotifySettings(),
    )
    return tl.messages.ChatFull(full_chat=full, chats=[entity], users=users)


def forum_topic(
    peer: tl.TypePeer,
    topic_id: int,
    title: str,
    creator: tl.TypePeer,
    icon_colour: int = 0x6FB9F0,
) -> tl.ForumTopic:
    """A topic, with nothing unread; its id is that of the service message that created it."""
    return tl.ForumTopic(
        id=topic_id,
        date=None,
        peer=peer,
        title=title,
        icon_color=icon_colour,
        top_message=topic_id,
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        from_id=creator,
        notify_settings=tl.PeerNotifySettings(),
    )


def no_full_chat(_last_id: int) -> tl.messages.ChatFull:
    """A dialog with a user has no full chat: ask users.getFullUser.

    Raises:
        TypeError: always.
    """
    raise TypeError("a dialog with a user has no full chat")
