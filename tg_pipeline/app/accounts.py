"""Which account reads a chat: the one it belongs to, else one that could read it before, else each in turn."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias, TypeVar

from tg_pipeline.app.archive import peer_cache
from tg_pipeline.app.login import Login, logged_in, sessions_here, telegram_api
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import (
    ChatError,
    ChatNotFound,
    ChatPrivate,
    SessionMissing,
    SessionRevoked,
    UsernameTaken,
    UsernameUnknown,
    WrongAccount,
    other_account_hint,
)
from tg_pipeline.contracts.text import count
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.settings import Settings
from tg_pipeline.telegram.resolver import is_remembered

T = TypeVar("T")

Ranked: TypeAlias = Mapping[str, float]
"""Sessions that may do, by fingerprint, in the order of their ranks. The lowest rank is the best."""
OpenLogin: TypeAlias = Callable[[Ranked], AbstractAsyncContextManager[Login]]
"""Gives a login of one of the sessions."""

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
    settings: Settings,
    wanted: Wanted,
    work: Callable[[Login], Awaitable[T]],
    clock: Clock | None = None,
    open_login: OpenLogin | None = None,
) -> T:
    """Do the work with the session of an account that can read the chat, one session at a time.

    The next one is tried only where the work ends with an error of the account or its session; who could read the chat
    is remembered, so that no later call tries the others first. What a username means does not depend on who asks:
    where it leads nowhere, or elsewhere, only those are tried who find the chat without asking. While every session
    that may do is in use, waits as `logged_in` does, which `open_login` may replace.
    Raises WrongAccount where no session is that of the only account that may read the chat; the last resort's
    ChatError or SessionRevoked; and what `logged_in` and the work raise.
    """
    clock = clock or SystemClock()
    open_login = open_login or (lambda ranked: logged_in(settings, clock, among=list(ranked)))
    sessions = _sessions(settings)
    tried = _Tried()
    while among := _that_may_do(settings, sessions, wanted, tried, clock.now()):
        tried.log_last()
        try:
            async with open_login(among) as login:
                account = str(login.resolver.own_id)
                if account in tried.refusals:
                    continue
                if wanted.account is not None and login.resolver.own_id != wanted.account:
                    tried.strangers.add(account)
                    continue
                try:
                    return await work(login)
                except (ChatNotFound, ChatPrivate, UsernameTaken) as error:
                    tried.refused(account, wanted.name, error)
                    if wanted.chat_id is not None and not isinstance(error, UsernameTaken):
                        login.resolver.note_reading(wanted.chat_id, can_read=False, now=clock.now())
        except SessionRevoked as error:
            if error.session is None or error.session in tried.dead:
                raise
            tried.died(error.session, error)
    if tried.refusals:
        raise _error_of_all(tried, wanted)
    if tried.dead:
        raise next(iter(tried.dead.values()))
    raise WrongAccount(
        f"{wanted.name} belongs to account {wanted.account}, and none of the {count(len(sessions), 'session')} here "
        f"does. {other_account_hint(wanted.account or 0)}"
    )


def sessions_for(settings: Settings, sessions: Sequence[str], wanted: Wanted, now: float) -> Ranked:
    """Those of the sessions that may read the chat, as far as that is known now (POSIX s); none may be left."""
    return _that_may_do(settings, sessions, wanted, _Tried(), now)


def _sessions(settings: Settings) -> list[str]:
    try:
        return list(sessions_here(settings))
    except SessionMissing:
        telegram_api(settings)  # what is missing is named in the order in which people get it
        raise


@dataclass(slots=True)
class _Tried:
    """What came of the attempts: accounts that cannot read the chat, those it does not belong to, dead sessions."""

    refusals: dict[str, ChatError] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    dead: dict[str, SessionRevoked] = field(default_factory=dict)
    _last: tuple[int, str] | None = None

    def refused(self, account: str, name: str, error: ChatError) -> None:
        self.refusals[account] = error
        self._last = (logging.INFO, f"Account {account} cannot read {name}: {error}")

    def died(self, session: str, error: SessionRevoked) -> None:
        self.dead[session] = error
        self._last = (logging.WARNING, f"{error} Going on with another session.")

    def log_last(self) -> None:
        """Log the last failure, now that another session is tried; otherwise it is raised."""
        if self._last is not None:
            log.log(*self._last)
            self._last = None

    @property
    def name_is_settled(self) -> bool:
        """Whether asking again for the username is of no use."""
        return any(isinstance(error, UsernameUnknown | UsernameTaken) for error in self.refusals.values())


def _that_may_do(settings: Settings, sessions: Sequence[str], wanted: Wanted, tried: _Tried, now: float) -> Ranked:
    """The sessions to choose from next, the best first. One whose account is unknown logs in once to learn it."""
    if len(sessions) == 1 and wanted.account is None and not (tried.refusals or tried.dead):
        return dict.fromkeys(sessions, 0.0)
    cache = peer_cache(settings)
    accounts = {session: cache.account_of(session) for session in sessions}
    done = {*tried.refusals, *tried.strangers}
    left = [session for session in sessions if accounts[session] not in done and session not in tried.dead]
    if tried.name_is_settled:
        left = [s for s in left if is_remembered(cache, accounts[s] or "", wanted.name, wanted.chat_id)]
    if wanted.account is not None:
        own = [session for session in left if accounts[session] == str(wanted.account)]
        return dict.fromkeys(own or [session for session in left if accounts[session] is None], 0.0)
    readings = {} if wanted.chat_id is None else cache.readings(wanted.chat_id)

    known = {session: reading for session in left if (reading := readings.get(accounts[session] or ""))}
    refused = {s for s, reading in known.items() if not reading.can_read and now - reading.noted_at < REFUSED_SECONDS}

    def first_id(session: str) -> float:
        """Who sees most of the chat comes first, who has not tried yet comes last."""
        return known[session].first_id if session in known and known[session].can_read else math.inf

    ranked = {session: first_id(session) for session in left if session not in refused}
    return dict(sorted(ranked.items(), key=itemgetter(1))) or dict.fromkeys(left, 0.0)


def _error_of_all(tried: _Tried, wanted: Wanted) -> ChatError:
    """The refusal that says most about the chat; of several accounts, that it is so with each; and of dead sessions."""
    refusals = list(tried.refusals.values())
    kinds = (UsernameTaken, ChatPrivate, ChatNotFound)
    worst = next(error for kind in kinds for error in refusals if isinstance(error, kind))
    dead = "" if tried.name_is_settled else " ".join(f" Another session is dead: {e}" for e in tried.dead.values())
    if len(refusals) == 1 and not dead:
        return worst
    all_of_them = "" if len(refusals) == 1 else f"None of the {len(refusals)} accounts here can read {wanted.name}. "
    said = type(worst)(f"{all_of_them}{worst}{dead}")
    said.__cause__ = worst
    return said
