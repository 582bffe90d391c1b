"""Service messages of groups."""

from collections.abc import Callable, Sequence

from telethon.tl import types as tl

from tg_pipeline.simulator.worlds import media

Action = Callable[[int, int, int, int], tl.TypeMessageAction]
"""From 64 drawn bits, the sender's user id, the id a file would have, and the date of the message."""

_CALL = tl.InputGroupCall(id=1, access_hash=1)
_MONTH = 31 * 86_400

ACTIONS: Sequence[Action] = (
    *[lambda _bits, user_id, _file, _date: tl.MessageActionChatAddUser(users=[user_id])] * 5,
    *[lambda _bits, user_id, _file, _date: tl.MessageActionChatJoinedByLink(inviter_id=user_id)] * 2,
    lambda _bits, _user, _file, _date: tl.MessageActionChatJoinedByRequest(),
    *[lambda _bits, _user, _file, _date: tl.MessageActionPinMessage()] * 2,
    lambda bits, _user, _file, _date: tl.MessageActionChatEditTitle(title=f"Season {bits % 9 + 1} 🌍"),
    lambda _bits, _user, file_id, date: tl.MessageActionChatEditPhoto(photo=media.photo(file_id, date).photo),
    lambda bits, _user, _file, _date: tl.MessageActionGroupCall(call=_CALL, duration=bits % 3_600),
    lambda _bits, _user, _file, _date: tl.MessageActionBoostApply(boosts=1),
    lambda _bits, _user, _file, _date: tl.MessageActionSetMessagesTTL(period=_MONTH),
    lambda _bits, user_id, _file, _date: tl.MessageActionChatDeleteUser(user_id=user_id),
)
"""Sixteen entries, drawn evenly: joins, pins, changes of title and picture, calls, boosts, timers, departures."""
