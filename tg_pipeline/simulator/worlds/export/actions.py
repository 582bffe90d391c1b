"""Service messages of exports, by their `action`."""

from collections.abc import Callable
from datetime import UTC, datetime

from telethon.tl import types as tl

from tg_pipeline.exports.fields import Fields, number, string
from tg_pipeline.simulator.worlds.export.directory import Directory, peer_of


def action_of(message: Fields, directory: Directory, photo: Callable[[], tl.TypePhoto]) -> tl.TypeMessageAction:
    """The TL action. One that has no counterpart here becomes a custom action that carries the export's name for it."""
    name = string(message, "action")
    if name == "edit_group_photo" and "photo" in message:
        return tl.MessageActionChatEditPhoto(photo=photo())
    make = _ACTIONS.get(name)
    return tl.MessageActionCustomAction(message=name) if make is None else make(message, directory)


def _members(message: Fields, directory: Directory) -> list[int]:
    names = message.get("members")
    return [directory.user_id(str(name or "")) for name in names] if isinstance(names, list) else []


def _left(message: Fields, directory: Directory) -> tl.TypeMessageAction:
    actor = peer_of(message.get("actor_id"))
    members = _members(message, directory)
    return tl.MessageActionChatDeleteUser(user_id=members[0] if members else getattr(actor, "user_id", 0))


def _call(message: Fields, directory: Directory) -> tl.TypeMessageAction:  # noqa: ARG001
    duration = number(message, "duration_seconds") or number(message, "duration")
    return tl.MessageActionPhoneCall(call_id=0, duration=duration or None)


def _scheduled(message: Fields, directory: Directory) -> tl.TypeMessageAction:  # noqa: ARG001
    moment = datetime.fromtimestamp(number(message, "schedule_date"), UTC)
    return tl.MessageActionGroupCallScheduled(call=_GROUP_CALL, schedule_date=moment)


_GROUP_CALL = tl.InputGroupCall(id=0, access_hash=0)

_ACTIONS: dict[str, Callable[[Fields, Directory], tl.TypeMessageAction]] = {
    "attach_menu_bot_allowed": lambda _m, _d: tl.MessageActionBotAllowed(attach_menu=True),
    "boost_apply": lambda m, _: tl.MessageActionBoostApply(boosts=number(m, "boosts")),
    "clear_history": lambda _m, _d: tl.MessageActionHistoryClear(),
    "create_channel": lambda m, _: tl.MessageActionChannelCreate(title=string(m, "title")),
    "create_group": lambda m, d: tl.MessageActionChatCreate(title=string(m, "title"), users=_members(m, d)),
    "delete_group_photo": lambda _m, _d: tl.MessageActionChatDeletePhoto(),
    "edit_chat_theme": lambda m, _: tl.MessageActionSetChatTheme(theme=tl.ChatTheme(emoticon=string(m, "emoticon"))),
    "edit_group_title": lambda m, _: tl.MessageActionChatEditTitle(title=string(m, "title")),
    "group_call": lambda m, _: tl.MessageActionGroupCall(call=_GROUP_CALL, duration=number(m, "duration") or None),
    "group_call_scheduled": _scheduled,
    "invite_members": lambda m, d: tl.MessageActionChatAddUser(users=_members(m, d)),
    "invite_to_group_call": lambda m, d: tl.MessageActionInviteToGroupCall(call=_GROUP_CALL, users=_members(m, d)),
    "join_group_by_link": lambda m, d: tl.MessageActionChatJoinedByLink(inviter_id=d.user_id(string(m, "inviter"))),
    "join_group_by_request": lambda _m, _d: tl.MessageActionChatJoinedByRequest(),
    "joined_telegram": lambda _m, _d: tl.MessageActionContactSignUp(),
    "migrate_from_group": lambda m, d: tl.MessageActionChannelMigrateFrom(title=string(m, "title"), chat_id=d.chat_id),
    "migrate_to_supergroup": lambda _m, d: tl.MessageActionChatMigrateTo(channel_id=d.chat_id),
    "phone_call": _call,
    "pin_message": lambda _m, _d: tl.MessageActionPinMessage(),
    "remove_members": _left,
    "score_in_game": lambda m, _: tl.MessageActionGameScore(game_id=0, score=number(m, "score")),
    "set_messages_ttl": lambda m, _: tl.MessageActionSetMessagesTTL(period=number(m, "period")),
    "take_screenshot": lambda _m, _d: tl.MessageActionScreenshotTaken(),
    "topic_created": lambda m, _: tl.MessageActionTopicCreate(title=string(m, "title"), icon_color=0x6FB9F0),
    "topic_edit": lambda m, _: tl.MessageActionTopicEdit(title=string(m, "new_title") or None),
}
