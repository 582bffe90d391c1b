"""The simulator inside another process: a server in a thread with its own event loop."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from tg_pipeline.simulator.faults import Faults
from tg_pipeline.simulator.journal import Entry
from tg_pipeline.simulator.rsa_key import PUBLIC_KEY_PATH
from tg_pipeline.simulator.server import API_HASH, API_ID, HOME_DC, HOST, Options, Server
from tg_pipeline.simulator.world import World

T = TypeVar("T")


class Simulator:
    """`with Simulator(world) as sim:` serves `world` until the block ends; keyword arguments as `Options`.

    Starts and stops in milliseconds. All attributes may be used from the caller's thread.
    """

    host = HOST
    api_id = API_ID
    api_hash = API_HASH
    public_key = PUBLIC_KEY_PATH

    def __init__(self, world: World, *, port: int = 0, **options: Any) -> None:
        self.world = world
        self._wanted_port = port
        self._options = Options(**options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.server = self.call(lambda: Server(self.world, self._options))
        asyncio.run_coroutine_threadsafe(self.server.start(self._wanted_port), self._loop).result()
        self.session = self.new_session()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def port(self) -> int:
        """The port of the home data centre."""
        return self.server.ports[HOME_DC]

    @property
    def journal(self) -> list[Entry]:
        """The requests served so far."""
        return list(self.server.journal.entries)

    @property
    def faults(self) -> Faults:
        """The fault rules in force; `add` and `clear` them at will."""
        return self.server.faults

    def new_session(self) -> str:
        """One more StringSession of the account."""
        return self.call(self.server.new_session)

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the server's loop, where its state may be changed, and return what it returns."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
