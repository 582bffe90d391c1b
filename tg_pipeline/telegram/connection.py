"""One session's connection to Telegram under one policy: every request goes through `Connection.call`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, TypeVar

from telethon.tl import types as tl
from telethon.tl.functions.users import GetUsersRequest
from telethon.tl.tlobject import TLRequest

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import SessionRevoked
from tg_pipeline.contracts.meter import CallMeter
from tg_pipeline.contracts.policy import CallPolicy
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.resilience.gate import Gate
from tg_pipeline.resilience.stack import resilient
from tg_pipeline.telegram.errors import LOGIN_HINT
from tg_pipeline.telegram.wire import Api, Wire

T = TypeVar("T")


class Connection:
    """Calls on one session. The caller holds the session's lease for as long as this object lives.

    `account` names whose budgets the calls are paid from, in the state that its processes share.
    """

    def __init__(
        self, session: str, api: Api, policy: CallPolicy, store: StateStore, account: str, clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._wire = Wire(session, api, self._clock)
        self._policy = policy
        self.meter = CallMeter()
        self.gate = Gate(store, account, policy=policy, clock=self._clock, meter=self.meter)

    def metered(self) -> "Connection":
        """The same connection and budgets for other work, which is counted by a meter of its own."""
        same = copy(self)
        same.meter = CallMeter()
        same.gate = self.gate.metered(same.meter)
        return same

    async def call(self, request: TLRequest) -> Any:
        """Make the request through the stack and give Telegram's answer. Raises what `contracts.errors` lists."""
        method = method_name(request)

        async def attempt() -> Any:
            self.meter.calls[method] += 1
            try:
                return await self._wire.send(request, method)
            finally:
                self.meter.connections = self._wire.connections

        return await self._stacked(attempt, method)

    async def server_time(self) -> float:
        """The server's clock in POSIX seconds, from the greeting that every connection begins with: no extra call."""
        await self._stacked(self._wire.connect, "help.getConfig")
        return self._clock.now() + self._wire.clock_offset

    async def own_id(self) -> int:
        """The account's user id; one call."""
        users = await self.call(GetUsersRequest([tl.InputUserSelf()]))
        if not users or not isinstance(users[0], tl.User):
            raise SessionRevoked(f"The session belongs to no account. {LOGIN_HINT}")
        return int(users[0].id)

    async def _stacked(self, attempt: Callable[[], Awaitable[T]], method: str) -> T:
        return await resilient(
            attempt, method=method, policy=self._policy, gate=self.gate, clock=self._clock, meter=self.meter
        )

    async def close(self) -> None:
        """Disconnect; the object can be used again and connects again then."""
        await self._wire.close()


@asynccontextmanager
async def connected(
    session: str, api: Api, policy: CallPolicy, store: StateStore, account: str, clock: Clock | None = None
) -> AsyncIterator[Connection]:
    """A connection that is closed however the block ends. Connects when the first call is made."""
    connection = Connection(session, api, policy, store, account, clock)
    try:
        yield connection
    finally:
        await connection.close()


def method_name(request: TLRequest) -> str:
    """`messages.getHistory` for a GetHistoryRequest: the name Telegram's documentation uses."""
    space = type(request).__module__.rpartition(".")[2]
    name = type(request).__name__.removesuffix("Request")
    name = name[0].lower() + name[1:]
    return name if space == "functions" else f"{space}.{name}"
