"""The simulator as a program of its own: serves until SIGTERM or SIGINT."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

import orjson

from tg_pipeline.simulator.control.routes import describe
from tg_pipeline.simulator.fault_script import load_script
from tg_pipeline.simulator.faults import FaultScript
from tg_pipeline.simulator.server import Server
from tg_pipeline.simulator.telegram import Options
from tg_pipeline.simulator.world import World
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.export import exported_world


def simulate(  # noqa: PLR0913 - the flags of a command
    *,
    exports: Sequence[Path] = (),
    seed: int = 0,
    port: int = 0,
    control_port: int = 0,
    latency_ms: float = 0,
    faults: Path | None = None,
    journal: Path | None = None,
    password: str | None = None,
    timezone: tzinfo | None = None,
) -> None:
    """Serve the exports, or the demo world where there are none; print one JSON line when ready; return at the signal.

    Args:
        exports: folders of Telegram Desktop exports, each holding a `result.json`.
        seed: of the demo world and of the session strings.
        port: to listen on, 0 for any free one.
        control_port: of the control server, likewise.
        latency_ms: delay of every answer in milliseconds.
        faults: JSON file with a fault script (see `FaultScript`).
        journal: file to append one JSON object to for every request.
        password: second factor that a login by code or QR asks for.
        timezone: where the exports were made, for those that have local dates only.

    Raises:
        InputError: something in the arguments cannot be used; the message is for the user.
    """
    script = load_script(faults) if faults else FaultScript()
    options = Options(seed=seed, latency=latency_ms / 1000, journal=journal, faults=script, password=password)
    asyncio.run(serve(_world(exports, seed, timezone), options, port, control_port))


def _world(exports: Sequence[Path], seed: int, timezone: tzinfo | None) -> World:
    return exported_world(exports, timezone=timezone) if exports else build_world(seed, time.time())


async def serve(world: World, options: Options, port: int = 0, control_port: int = 0) -> None:
    """As `simulate`, for a world that is there already."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(world, options)
    await server.start(port, control_port)
    try:
        sys.stdout.write(orjson.dumps(describe(server) | {"session": server.session}).decode() + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await server.stop()
