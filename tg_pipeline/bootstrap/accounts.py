"""Which account reads a chat: the one it belongs to, else one that could read it before, else each in turn."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tg_pipeline.bootstrap.archive import peer_cache
from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.bootstrap.telegram import Login, logged_in, sessions_here, telegram_api
from tg_pipeline.contracts.clock import Clock, SystemClock
from tg_pipeline.contracts.errors import (
    ChatError,
    ChatMoved,
    ChatNotFound,
    ChatPrivate,
    WrongAccount,
    other_account_hint,
)
from tg_pipeline.contracts.text import count
from tg_pipeline.state.peers import PeerCache

T = TypeVar("T")

REFUSED_SECONDS = 86_400
"""For so long an account that could not read a chat is the last to be tried again: it may have joined meanwhile."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The chat to read. `chat_id` is its marked id where that is known; `account` the only one that may read it."""

    name: str
    chat_id: int | None = None
    account: int | None = None


async def with_reader(
    settings: Settings, wanted: Wanted, work: Callable[[Login], Awaitable[T]], clock: Clock | None = None
) -> T:
    """Do the work with the session of an account that can read the chat, one session at a time.

    Where the work ends with a ChatError, the next account is tried; who could read the chat is remembered, so that no
    later call tries the others first. While every session that may do is in use, waits as `logged_in` does.
    Raises WrongAccount where no session is that of the only account that may read the chat; the last resort's
    ChatError; and what `logged_in` and the work raise.
    """
    telegram_api(settings)  # what is missing is named in the order in which people get it
    clock = clock or SystemClock()
    cache = peer_cache(settings)
    sessions = list(sessions_here(settings))
    refusals: dict[str, ChatError] = {}
    strangers: set[str] = set()
    while among := _that_may_do(cache, sessions, wanted, {*refusals, *strangers}, clock.now()):
        async with logged_in(settings, clock, among=among) as login:
            account = str(login.resolver.own_id)
            if account in refusals:
                continue
            if wanted.account is not None and login.resolver.own_id != wanted.account:
                strangers.add(account)
                continue
            try:
                done = await work(login)
            except (ChatNotFound, ChatPrivate, ChatMoved) as error:
                refusals[account] = error
                if wanted.chat_id is not None and not isinstance(error, ChatMoved):
                    login.resolver.note_reading(wanted.chat_id, can_read=False, now=clock.now())
                log.info("Account %s cannot read %s: %s", account, wanted.name, error)
            else:
                return done
    if refusals:
        raise _told_of_all(refusals, wanted)
    raise WrongAccount(
        f"{wanted.name} belongs to account {wanted.account}, and none of the {count(len(sessions), 'session')} here "
        f"does. {other_account_hint(wanted.account or 0)}"
    )


def _that_may_do(
    cache: PeerCache, sessions: Sequence[str], wanted: Wanted, tried: set[str], now: float
) -> Sequence[str]:
    """The sessions to choose from next, the best first. One whose account is unknown logs in once to learn it."""
    accounts = {session: cache.account_of(session) for session in sessions}
    left = [session for session in sessions if accounts[session] not in tried]
    if wanted.account is not None:
        own = [session for session in left if accounts[session] == str(wanted.account)]
        return own or [session for session in left if accounts[session] is None]
    readings = {} if wanted.chat_id is None else cache.readings(wanted.chat_id)

    known = {session: reading for session in left if (reading := readings.get(accounts[session] or ""))}
    refused = {s for s, reading in known.items() if not reading.can_read and now - reading.noted_at < REFUSED_SECONDS}

    def first_id(session: str) -> float:
        """Who sees most of the chat comes first, who has not tried yet comes last."""
        return known[session].first_id if session in known and known[session].can_read else math.inf

    return sorted((session for session in left if session not in refused), key=first_id) or left


def _told_of_all(refusals: Mapping[str, ChatError], wanted: Wanted) -> ChatError:
    """The refusal that says most about the chat; of several accounts, that it is so with each."""
    kinds = (ChatMoved, ChatPrivate, ChatNotFound)
    worst = next(error for kind in kinds for error in refusals.values() if isinstance(error, kind))
    if len(refusals) == 1:
        return worst
    said = type(worst)(f"None of the {len(refusals)} accounts here can read {wanted.name}. {worst}")
    said.__cause__ = worst
    return said
