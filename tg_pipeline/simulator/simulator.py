"""The simulator inside another process: a server in a thread with its own event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.faults import Faults
from tg_pipeline.simulator.journal import Entry
from tg_pipeline.simulator.server import Server
from tg_pipeline.simulator.telegram import Options
from tg_pipeline.simulator.world import World

T = TypeVar("T")


class Simulator:
    """`with Simulator(world) as sim:` serves `world` until the block ends; keyword arguments as `Options`.

    Starts and stops in milliseconds. All attributes may be used from the caller's thread.
    """

    host = Server.host
    api_id = Server.api_id
    api_hash = Server.api_hash
    public_key = Server.public_key

    def __init__(self, world: World, *, port: int = 0, **options: Any) -> None:
        self.world = world
        self._wanted_port = port
        self._options = Options(**options)
        self._ready: Future[Server] = Future()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except SimulatorError as error:
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self.world, self._options)
        try:
            await server.start(self._wanted_port)
            self._ready.set_result(server)
            await self._stopped.wait()
        finally:
            await server.stop()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.server = self._ready.result()
        except SimulatorError:
            self._thread.join()
            raise
        self.session = self.server.session
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    @property
    def port(self) -> int:
        """The port of the home data centre."""
        return self.server.port

    @property
    def control(self) -> int:
        """The control port."""
        return self.server.control_port

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
