"""Scripted, seeded faults: what the server does instead of, or to, a good answer."""

from tg_pipeline.simulator.faults.engine import Faults, Verdict
from tg_pipeline.simulator.faults.rules import (
    AnyRule,
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

__all__ = [
    "AnyRule",
    "CorruptFrame",
    "Drop",
    "Error",
    "FaultScript",
    "Faults",
    "FloodBucket",
    "Latency",
    "LostAnswer",
    "PageFault",
    "TransportError",
    "Undecodable",
    "Verdict",
]
