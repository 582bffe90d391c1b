"""Logins that the fetches of one process share, since a session is used by one connection at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tg_pipeline.app.accounts import Ranked
from tg_pipeline.app.login import Login, logged_in
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import LeaseUnavailable, SessionRevoked
from tg_pipeline.settings import Settings


class SharedLogins:
    """At most one login at a time, kept open until another session is needed. For one event loop.

    A fetch that asks for a login shares the open one where its session is as good as any; else it waits until nobody
    uses that one, which is closed then. So nobody holds a session while it waits for another. Where other processes
    have all that would do, one waits for them as `logged_in` does, and the others that come before `close` do not.
    `prefer` is the session, by its fingerprint, to take of those that are equally good.
    """

    def __init__(self, settings: Settings, clock: Clock, prefer: str | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._prefer = prefer
        self._opening = asyncio.Lock()
        self._open: _OpenLogin | None = None
        self._unused = asyncio.Event()
        self._in_use: dict[frozenset[str], LeaseUnavailable] = {}

    @asynccontextmanager
    async def login(self, among: Ranked) -> AsyncIterator[Login]:
        """A login of one of the sessions. Raises what `logged_in` raises, also while the block runs."""
        shared = await self._join(among)
        try:
            async with shared.used() as login:
                yield login
        finally:
            if not shared.users:
                self._unused.set()

    async def close(self) -> None:
        """Close what is open, unless it is used."""
        async with self._opening:
            self._in_use.clear()
            await self._close()

    async def _join(self, among: Ranked) -> "_OpenLogin":
        best = min(among.values())
        while True:
            async with self._opening:
                shared = self._open
                if shared is not None and shared.error is None and among.get(shared.login.session) == best:
                    shared.users += 1
                    return shared
                if shared is None or not shared.users:
                    await self._close()
                    self._open = shared = await self._opened(among)
                    shared.users += 1
                    return shared
                self._unused.clear()
            await self._unused.wait()

    async def _opened(self, among: Ranked) -> "_OpenLogin":
        if (known := self._in_use.get(frozenset(among))) is not None:
            raise known
        order = sorted(among, key=lambda session: (among[session], session != self._prefer))
        try:
            return await _OpenLogin.open(self._settings, self._clock, order)
        except LeaseUnavailable as error:
            self._in_use[frozenset(among)] = error
            raise

    async def _close(self) -> None:
        if self._open is not None and not self._open.users:
            shared, self._open = self._open, None
            await shared.close()


class _OpenLogin:
    """A login that a task of its own holds, because those who use it come and go."""

    login: Login

    def __init__(self) -> None:
        self.users = 0
        self.error: Exception | None = None
        self._scopes: set[asyncio.Timeout] = set()
        self._fresh = True
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self._holding: asyncio.Task[None]

    @classmethod
    async def open(cls, settings: Settings, clock: Clock, order: list[str]) -> "_OpenLogin":
        """Log in with the first session that is free."""
        found = cls()
        found._holding = asyncio.create_task(found._hold(settings, clock, order))
        try:
            await found._opened.wait()
        except asyncio.CancelledError:
            found._holding.cancel()
            await asyncio.wait([found._holding])
            raise
        if found.error is not None:
            raise found.error
        return found

    async def _hold(self, settings: Settings, clock: Clock, order: list[str]) -> None:
        try:
            async with logged_in(settings, clock, among=order) as self.login:
                self._opened.set()
                await self._closing.wait()
                if self.error is not None:
                    raise self.error  # the session is noted as dead
        except Exception as error:  # noqa: BLE001 - raised to those who use the login
            self.error = error
            for scope in self._scopes:
                scope.reschedule(asyncio.get_running_loop().time())
        finally:
            self._opened.set()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Login]:
        """The login for one of its `users`, whose calls are counted apart; ends with the lease of its session."""
        login, self._fresh = (self.login if self._fresh else self.login.metered()), False
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.add(scope)
                yield login
        except SessionRevoked as error:
            error.session = self.login.session
            self.error = error
            raise
        except TimeoutError:
            if self.error is None or not scope.expired():
                raise
            raise self.error from None
        finally:
            self._scopes.discard(scope)
            self.users -= 1

    async def close(self) -> None:
        """Disconnect, and give the session back."""
        self._closing.set()
        await asyncio.wait([self._holding])
