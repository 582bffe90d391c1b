"""Reading around a message that this version cannot decode: an answer that holds one cannot be decoded at all.

Pages are halved until one message is left; its id is then the lowest one behind the last that was read, which is
sought by ids too. A page that holds one such message costs about log2(100) calls more, one that holds nothing else two
a message.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.contracts.days import FIRST_DAY, day_start
from tg_pipeline.contracts.errors import Undecodable
from tg_pipeline.contracts.history import BEGIN_WITNESSES, PAGE_SIZE, Cursor
from tg_pipeline.telegram.offsets import Offset

REMEMBERED = 64
STEPS = (*range(16), *(2**n for n in range(4, 21)))
"""How many messages away one that can be decoded is looked for: the nearest, and further on only some."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """What stands for a message that cannot be decoded.

    `date` is that of the nearest earlier one that can be, or of a later one where there is none.
    """

    id: int
    date: datetime
    constructor: int | None


@dataclass(slots=True)
class PartialAnswer:
    """Some messages, newest first, as an answer has them, and whom they mention."""

    messages: list[Any] = field(default_factory=list)
    users: list[Any] = field(default_factory=list)
    chats: list[Any] = field(default_factory=list)

    def add(self, answer: Any) -> None:
        """Put the messages of a later page in front."""
        self.messages = [*answer.messages, *self.messages]
        self.users += answer.users
        self.chats += answer.chats


class Isolation:
    """Pages of one history, through `ask`, which makes the one call and raises Undecodable."""

    def __init__(self, ask: Callable[[Offset], Awaitable[Any]]) -> None:
        self._ask = ask
        self._sizes: dict[int, int] = {}
        """How many messages to ask for after an id: few where those before it could not be decoded."""
        self._dates: dict[int, datetime] = {}
        self._is_of_messages = False
        """Whether an answer without messages was decoded: what could not be decoded is in a message."""

    async def page(self, cursor: Cursor) -> Any:
        """The messages after the cursor: up to a page, or those up to one that cannot be decoded, and a stand-in."""
        size = self._sizes.pop(cursor.after_id, PAGE_SIZE) if cursor.after_id is not None else PAGE_SIZE
        try:
            answer = await self._ask(Offset.after(cursor, size))
        except Undecodable as error:
            return await self._around(cursor, size, error)
        if size < PAGE_SIZE and answer.messages:
            self._sizes[answer.messages[0].id] = min(PAGE_SIZE, 2 * size)
        self._remember(answer.messages)
        return answer

    async def _around(self, cursor: Cursor, left: int, error: Undecodable) -> PartialAnswer:
        """Somewhere in the next `left` messages is one that cannot be decoded."""
        await self._check_that_it_is_a_message()
        found = PartialAnswer()
        if cursor.after_id is None:
            after, moment = await self._near(Offset(date=cursor.since))
            left = PAGE_SIZE
        else:
            after, moment = cursor.after_id, self._dates.get(cursor.after_id)
        tried = left if cursor.after_id is not None else 0
        while tried != 1:
            size = max(1, left // 2)
            try:
                answer = await self._ask(Offset.after(Cursor(cursor.since, after), size))
            except Undecodable as again:
                error, left, tried = again, size, size
                continue
            if not answer.messages:
                return found
            found.add(answer)
            after, moment = answer.messages[0].id, _date_of(answer.messages) or moment
            left = max(1, left - size)
        number = await self._next_id(after)
        if moment is None:
            _, moment = await self._near(Offset(id=after + 1))
        if moment is None:
            _, moment = await self._near(Offset(id=number + 1), ahead=True)
        message = UnreadableMessage(number, moment or cursor.moment, error.constructor)
        self._sizes[number] = PAGE_SIZE if found.messages else 1
        found.messages.insert(0, message)
        self._remember(found.messages)
        return found

    async def oldest(self) -> list[tuple[int, int]]:
        """Ids and times (POSIX s) of the BEGIN_WITNESSES oldest messages that can be seen, ascending by id.

        Where one of them cannot be decoded, the oldest alone, and the begin of its day.
        """
        try:
            answer = await self._ask(Offset(id=1, ascending=BEGIN_WITNESSES))
        except Undecodable:
            await self._check_that_it_is_a_message()
            days = await _least(lambda n: self._is_any_before(FIRST_DAY + timedelta(days=n)))
            return [(await self._next_id(0), day_start(FIRST_DAY + timedelta(days=days - 1)))]
        found = [message for message in reversed(answer.messages) if type(message) is not tl.MessageEmpty]
        return [(message.id, int(message.date.timestamp())) for message in found]

    async def newest(self) -> Any:
        """The newest message that can be decoded, alone."""
        for step in STEPS:
            with suppress(Undecodable):
                return await self._ask(Offset().back(step))
        return PartialAnswer()

    async def before(self, since: int, newest_id: int) -> int:
        """The highest id of the messages dated before `since` (POSIX s), sought by ids; 0 where there is none.

        `newest_id` is that of one dated at `since` or later.
        """
        oldest = await self.oldest()
        if not oldest or oldest[0][1] >= since:
            return 0
        earlier, later = oldest[0][0], newest_id
        while later - earlier > 1:
            middle = (earlier + later) // 2
            _, moment = await self._near(Offset(id=middle + 1))
            if moment is not None and moment.timestamp() >= since:
                later = middle
            else:
                earlier = middle
        return earlier

    async def _check_that_it_is_a_message(self) -> None:
        """Raises Undecodable where an answer without messages holds it too."""
        if not self._is_of_messages:
            await self._ask(Offset(id=1))
            self._is_of_messages = True

    async def _near(self, offset: Offset, *, ahead: bool = False) -> tuple[int, datetime | None]:
        """Id and date of the nearest message before the offset, or `ahead`, that can be decoded; else 0 and None."""
        for step in STEPS:
            try:
                answer = await self._ask(offset.back(-step - 1 if ahead else step))
            except Undecodable:
                continue
            if not answer.messages:
                break
            if moment := _date_of(answer.messages):
                return answer.messages[0].id, moment
        return 0, None

    async def _next_id(self, after: int) -> int:
        """The id of the message that follows."""
        return after + await _least(lambda n: self._is_any(after, after + n))

    async def _is_any_before(self, day: date) -> bool:
        """Whether there is a message before that day."""
        try:
            return bool((await self._ask(Offset(date=day_start(day)))).messages)
        except Undecodable:
            return True

    async def _is_any(self, after: int, last: int) -> bool:
        """Whether there is a message of an id after..last, `after` excluded."""
        try:
            answer = await self._ask(Offset(id=last + 1, newest_of=1, above=after))
        except Undecodable:
            return True
        return any(after < message.id <= last for message in answer.messages)

    def _remember(self, messages: Sequence[Any]) -> None:
        """Keep the date of the newest: what follows it may have none of its own."""
        if messages and (moment := _date_of(messages)):
            self._dates[messages[0].id] = moment
            if len(self._dates) > REMEMBERED:
                del self._dates[next(iter(self._dates))]


async def _least(holds: Callable[[int], Awaitable[bool]]) -> int:
    """The least number from 1 on for which it holds, as for all above that."""
    enough = 1
    while not await holds(enough):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if await holds(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _date_of(messages: Sequence[Any]) -> datetime | None:
    """That of the newest message that has one."""
    return next((m.date for m in messages if type(m) is not tl.MessageEmpty), None)
