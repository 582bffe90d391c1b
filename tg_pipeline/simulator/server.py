"""The simulated Telegram: its ports, its state and the way of a request through it.

Everything here runs in one event loop and nothing waits, so that the state needs no locks.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tg_pipeline.simulator import control
from tg_pipeline.simulator.account import Account
from tg_pipeline.simulator.authorizations import Authorizations, session_text
from tg_pipeline.simulator.connection import Connection
from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.faults import Faults, FaultScript
from tg_pipeline.simulator.journal import Journal
from tg_pipeline.simulator.methods.history import HistoryRules
from tg_pipeline.simulator.rsa_key import PUBLIC_KEY_PATH
from tg_pipeline.simulator.serialiser import People, Serialised, Serialiser
from tg_pipeline.simulator.world import World

HOST = "127.0.0.1"
HOME_DC = 2
AWAY_DC = 4
API_ID = 10_001
API_HASH = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Options:
    """How a server behaves, besides the world it serves.

    `seed` decides the session strings. `password` is the account's second factor, if it has one. `latency` in seconds
    delays every answer. `journal` is a file to append to. `rules` turn round what is not certain of Telegram's history.
    `forbid_duplicates` kills a key that two connections use at once, as Telegram does. `clock` (POSIX seconds) says
    what time it is in the world, `monotonic` (seconds) drives the token buckets of the faults.
    """

    seed: int = 0
    password: str | None = None
    latency: float = 0.0
    journal: Path | None = None
    faults: FaultScript = field(default_factory=FaultScript)
    rules: HistoryRules = field(default_factory=HistoryRules)
    forbid_duplicates: bool = True
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class Server:
    """A Telegram of one account, listening on 127.0.0.1 and nowhere else."""

    host = HOST
    api_id = API_ID
    api_hash = API_HASH
    public_key = PUBLIC_KEY_PATH
    home_dc = HOME_DC

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        self.ports: dict[int, int] = {}
        self.journal = Journal(options.journal)
        self.faults = Faults(options.monotonic)
        self.faults.load(options.faults)
        self.authorizations = Authorizations(options.seed)
        # Before the first connection: a client that outlived a restart finds its key.
        self._first = self.authorizations.issue(HOME_DC)
        self.account = Account(world.self_user, options.password)
        self.people = People()
        self.serialiser = Serialiser(self.people)
        self.last_pages: dict[int, list[Serialised]] = {}
        self.connections: set[Connection] = set()
        self._accepted = 0
        self._listeners: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port of the home data centre."""
        return self.ports[HOME_DC]

    @property
    def control_port(self) -> int:
        """The port of the control server."""
        return _port_of(self._listeners[-1])

    async def start(self, port: int = 0, control_port: int = 0) -> None:
        """Listen: the home data centre and the control server on these ports (0: any free one), the other on any.

        Raises SimulatorError where a port is taken.
        """
        for dc_id, wanted in ((HOME_DC, port), (AWAY_DC, 0)):
            self.ports[dc_id] = await self._listen(dc_id, wanted)
        try:
            self._listeners.append(await control.listen(self, HOST, control_port))
        except OSError as error:
            raise _taken(control_port, error) from error

    async def _listen(self, dc_id: int, port: int) -> int:
        def accept() -> Connection:
            self._accepted += 1
            return Connection(self, dc_id, self._accepted)

        try:
            listener = await asyncio.get_running_loop().create_server(accept, HOST, port)
        except OSError as error:
            raise _taken(port, error) from error
        self._listeners.append(listener)
        return _port_of(listener)

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)
        self.journal.close()

    @property
    def session(self) -> str:
        """The StringSession of the account that is there from the start."""
        return session_text(self._first, HOST, self.port)

    def new_session(self) -> str:
        """One more StringSession of the account, logged in, never used before."""
        return session_text(self.authorizations.issue(HOME_DC), HOST, self.port)


def _taken(port: int, error: OSError) -> SimulatorError:
    return SimulatorError(f"port {port} of {HOST} cannot be used: {error.strerror}")


def _port_of(listener: asyncio.Server) -> int:
    return int(listener.sockets[0].getsockname()[1])
