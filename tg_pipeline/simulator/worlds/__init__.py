"""The worlds that the simulator serves: seeded chats in closed form, imported exports, and changes on top of either."""

from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.export import ExportError, exported_world, load_export
from tg_pipeline.simulator.worlds.hidden import AddedLater, HiddenPast
from tg_pipeline.simulator.worlds.ids import NO_GAPS, Gaps
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

__all__ = [
    "NO_GAPS",
    "AddedLater",
    "ExportError",
    "Gaps",
    "HiddenPast",
    "Overlay",
    "build_world",
    "exported_world",
    "load_export",
    "synthetic_chat",
]
