"""A local Telegram for tests, demos and benchmarks: an MTProto server that Telethon's own client talks to.

`Simulator` runs one inside a test, `simulate` in the foreground. See docs/simulator.md.
"""

from tg_pipeline.simulator.errors import SimulatorError
from tg_pipeline.simulator.faults import (
    CorruptFrame,
    Drop,
    Error,
    FaultScript,
    FloodBucket,
    Latency,
    LostAnswer,
    PageFault,
    TransportError,
    Undecodable,
)
from tg_pipeline.simulator.main import simulate
from tg_pipeline.simulator.simulator import Simulator
from tg_pipeline.simulator.telegram import HistoryRules
from tg_pipeline.simulator.world import Chat, World

__all__ = [
    "Chat",
    "CorruptFrame",
    "Drop",
    "Error",
    "FaultScript",
    "FloodBucket",
    "HistoryRules",
    "Latency",
    "LostAnswer",
    "PageFault",
    "Simulator",
    "SimulatorError",
    "TransportError",
    "Undecodable",
    "World",
    "simulate",
]
