"""The worlds that the simulator serves: seeded chats in closed form, imported exports, and changes on top of either."""

from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.simulator.worlds.ids import NO_GAPS, Gaps
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline.simulator.worlds.synthetic import synthetic_chat

__all__ = ["NO_GAPS", "Gaps", "Overlay", "build_world", "synthetic_chat"]
