"""messages.getHistory, by Telegram's offset rules (core.telegram.org/api/offsets)."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.methods.peers import chat_of
from tg_pipeline.simulator.methods.registry import Call, handles
from tg_pipeline.simulator.mtproto import vector
from tg_pipeline.simulator.serialiser import Serialised
from tg_pipeline.simulator.telegram import HistoryRules
from tg_pipeline.simulator.world import Chat

PAGE_LIMIT = 100
PTS = 1
UNKNOWN_TYPE = struct.pack("<I", 0x0DDBA110)
NO_TOPICS = vector([])


@dataclass(frozen=True)
class Paged:
    """Messages in ascending order to page through: how many, and how many precede an id or a moment."""

    size: int
    before_id: Callable[[int], int]
    before_date: Callable[[float], int]

    def page(self, request: Any, rules: HistoryRules) -> range:
        """Positions of the page that a request with the usual six offset fields asks for."""
        lowest = self.before_id(request.min_id + 1) if request.min_id else 0
        highest = self.before_id(request.max_id) if request.max_id else self.size
        floor, ceiling = (lowest, highest) if rules.cut_before_paging else (0, self.size)
        end = min(self._offset(request, rules), ceiling) - request.add_offset
        if rules.full_at_newest:
            end = min(end, ceiling)
        start = end - max(0, min(request.limit, PAGE_LIMIT))
        start, stop = max(start, floor, lowest), min(end, ceiling, highest)
        return range(start, max(start, stop))

    def _offset(self, request: Any, rules: HistoryRules) -> int:
        moment = request.offset_date.timestamp() if request.offset_date else 0
        if request.offset_id and not (rules.date_wins and moment):
            return self.before_id(request.offset_id)
        if moment:
            return self.before_date(moment + 1 if rules.date_inclusive else moment)
        return self.size


def whole_history(chat: Chat, now: float) -> Paged:
    """Everything a chat holds at `now`."""
    return Paged(
        chat.size(now),
        lambda message_id: chat.rank_of_id(message_id, now),
        lambda moment: chat.rank_of_date(moment, now),
    )


def messages_answer(
    call: Call, chats: Sequence[Chat], messages: Sequence[Serialised], count: int, *, in_channel: bool
) -> bytes:
    """`messages` as the class that Telegram uses for this kind of chat, with `chats` and all whom they mention."""
    if in_channel:
        head = struct.pack("<IIii", tl.messages.ChannelMessages.CONSTRUCTOR_ID, 0, PTS, count)
    elif len(messages) == count:
        head = struct.pack("<I", tl.messages.Messages.CONSTRUCTOR_ID)
    else:
        head = struct.pack("<IIi", tl.messages.MessagesSlice.CONSTRUCTOR_ID, 0, count)
    people = call.server.people
    mentioned = [people.refresh(chat.entity) for chat in chats]
    for message in messages:
        mentioned.extend(message.people)
    return b"".join((head, vector([message.body for message in messages]), NO_TOPICS, people.vectors(mentioned)))


@handles(functions.messages.GetHistoryRequest)
def get_history(call: Call) -> object:
    """One page of a chat's history, newest first, at most 100 messages."""
    chat_id, chat = chat_of(call, call.request.peer)
    history = whole_history(chat, call.now)
    ranks = history.page(call.request, call.server.options.rules)
    page = call.server.serialiser.ranks(chat_id, chat, ranks.start, ranks.stop, call.now)
    page.reverse()
    if call.page_fault:
        page = spoil(call, chat_id, page)
    if call.undecodable:
        page = [m._replace(body=UNKNOWN_TYPE + m.body[4:]) if m.message_id in call.undecodable else m for m in page]
    call.server.last_pages[chat_id] = page
    return messages_answer(call, [chat], page, history.size, in_channel=isinstance(chat.peer, tl.PeerChannel))


def spoil(call: Call, chat_id: int, page: list[Serialised]) -> list[Serialised]:
    """A page as a page fault leaves it (see `PageFault`)."""
    if call.page_fault == "repeated":
        return call.server.last_pages.get(chat_id, page)
    if call.page_fault == "reordered":
        return page[1::2] + page[::2]
    half = len(page) // 2
    return page[half:] if call.request.add_offset < 0 else page[: len(page) - half]
