"""The simulated Telegram: its ports, its state and the way of a request through it.

Everything here runs in one event loop and nothing waits, so that the state needs no locks.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from telethon.tl import functions

from tg_pipeline.simulator.authorizations import Authorizations, session_text
from tg_pipeline.simulator.connection import Connection
from tg_pipeline.simulator.errors import RpcError, SimulatorError
from tg_pipeline.simulator.journal import Entry, Journal, method_name, params_of
from tg_pipeline.simulator.methods import HANDLERS, Call
from tg_pipeline.simulator.methods.history import HistoryRules
from tg_pipeline.simulator.mtproto import pack
from tg_pipeline.simulator.serialiser import People, Serialiser
from tg_pipeline.simulator.world import World

log = logging.getLogger(__name__)
HOST = "127.0.0.1"
HOME_DC = 2
AWAY_DC = 4
API_ID = 10_001
API_HASH = "0123456789abcdef0123456789abcdef"
WRAPPERS = (
    functions.InvokeWithLayerRequest,
    functions.InitConnectionRequest,
    functions.InvokeWithoutUpdatesRequest,
    functions.InvokeAfterMsgRequest,
    functions.InvokeAfterMsgsRequest,
    functions.InvokeWithTakeoutRequest,
)


class Server:
    """A Telegram of one account. `latency` in seconds delays every answer; `clock` says what time the world has."""

    def __init__(
        self,
        world: World,
        *,
        seed: int = 0,
        latency: float = 0,
        rules: HistoryRules | None = None,
        journal: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.world = world
        self.latency = latency
        self.rules = rules or HistoryRules()
        self.clock = clock
        self.host = HOST
        self.ports: dict[int, int] = {}
        self.journal = Journal(journal)
        self.authorizations = Authorizations(seed)
        self.people = People()
        self.serialiser = Serialiser(self.people)
        self.connections: set[Connection] = set()
        self._accepted = 0
        self._listeners: list[asyncio.Server] = []

    async def start(self, port: int = 0) -> None:
        """Listen: the home data centre on `port` (0: any free one), the other on a free one.

        Raises SimulatorError where the port is taken.
        """
        for dc_id, wanted in ((HOME_DC, port), (AWAY_DC, 0)):
            self.ports[dc_id] = await self._listen(dc_id, wanted)

    async def _listen(self, dc_id: int, port: int) -> int:
        def accept() -> Connection:
            self._accepted += 1
            return Connection(self, dc_id, self._accepted)

        try:
            listener = await asyncio.get_running_loop().create_server(accept, HOST, port)
        except OSError as error:
            raise SimulatorError(f"port {port} of {HOST} cannot be used: {error.strerror}") from error
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)
        self.journal.close()

    def new_session(self) -> str:
        """A StringSession of the account, logged in, never used before."""
        return session_text(self.authorizations.issue(HOME_DC), HOST, self.ports[HOME_DC])

    def serve(self, connection: Connection, msg_id: int, request: Any) -> None:
        """Answer one request of a client."""
        takeout_id = None
        while isinstance(request, WRAPPERS):
            takeout_id = getattr(request, "takeout_id", takeout_id)
            if isinstance(request, functions.InvokeWithoutUpdatesRequest):
                connection.wants_updates = False
            request = request.query
        authorization = connection.authorization
        if authorization is None:
            return
        call = Call(self, connection, authorization, request, self.clock(), takeout_id)
        entry = self._entry(connection, request)
        try:
            answer = self._answer(call)
        except RpcError as error:
            entry["error"] = error.message
            self.journal.write(entry)
            connection.refuse(msg_id, error.code, error.message, self.latency)
        else:
            self.journal.write(entry)
            connection.answer(msg_id, answer, self.latency)

    def _answer(self, call: Call) -> bytes:
        handler = HANDLERS.get(type(call.request))
        if handler is None:
            name = method_name(type(call.request))
            log.error("%s is not simulated", name)
            raise RpcError(400, "METHOD_NOT_SIMULATED")
        if call.authorization.dead:
            raise RpcError(401, call.authorization.dead)
        if not (handler.anonymous or call.authorization.logged_in):
            raise RpcError(401, "AUTH_KEY_UNREGISTERED")
        return pack(handler.answer(call))

    def refuse_unknown(self, connection: Connection, msg_id: int, constructor: str) -> None:
        """Answer a request whose constructor id is in no layer that the server knows."""
        log.error("constructor %s is not known", constructor)
        message = f"INPUT_METHOD_INVALID_{int(constructor, 16)}_0"
        entry = Entry(ts=time.time(), method=f"#{constructor}", connection=connection.number, params={}, error=message)
        self.journal.write(entry)
        connection.refuse(msg_id, 400, message, self.latency)

    def _entry(self, connection: Connection, request: Any) -> Entry:
        return Entry(
            ts=time.time(),
            method=method_name(type(request)),
            connection=connection.number,
            params=params_of(request),
        )
