"""The simulated Telegram at its ports."""

import asyncio

from tg_pipeline.simulator.connection import Connection
from tg_pipeline.simulator.control.http import listen
from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.telegram import AWAY_DC, HOME_DC, HOST, Options, Telegram
from tg_pipeline.simulator.world import World


class Server(Telegram):
    """The same, listening on 127.0.0.1 and nowhere else."""

    def __init__(self, world: World, options: Options) -> None:
        super().__init__(world, options)
        self._accepted = 0
        self._listeners: list[asyncio.Server] = []

    async def start(self, port: int = 0, control_port: int = 0) -> None:
        """Listen: the home data centre and the control server on these ports (0: any free one), the other on any.

        Raises SimulatorError where a port is taken.
        """
        for dc_id, wanted in ((HOME_DC, port), (AWAY_DC, 0)):
            self.ports[dc_id] = await self._listen(dc_id, wanted)
        try:
            listener = await listen(self, HOST, control_port)
        except OSError as error:
            raise _taken(control_port, error) from error
        self._listeners.append(listener)
        self.control_port = _port_of(listener)

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


def _taken(port: int, error: OSError) -> SimulatorError:
    return SimulatorError(f"port {port} of {HOST} cannot be used: {error.strerror}")


def _port_of(listener: asyncio.Server) -> int:
    return int(listener.sockets[0].getsockname()[1])
