"""Message ids with gaps, in closed form."""

from dataclasses import dataclass
from typing import NamedTuple

from tg_pipeline.simulator.worlds.draws import draw


class Gaps(NamedTuple):
    """In every block of `visible + missing` ids, one run of `missing` ids is absent, at a place drawn per block."""

    visible: int
    missing: int


NO_GAPS = Gaps(1, 0)


@dataclass(frozen=True, slots=True)
class IdPattern:
    """Which id the message of a rank carries, and back; both in O(1).

    `stride` and `first` let several chats share one sequence (basic groups and private chats do, per account): with
    stride 4, chats whose `first` differ modulo 4 never meet.
    """

    seed: int
    gaps: Gaps = NO_GAPS
    first: int = 1
    stride: int = 1

    def id_of(self, rank: int) -> int:
        """The id of the message of that rank."""
        visible, missing = self.gaps
        if not missing:
            return self.first + rank * self.stride
        block, place = divmod(rank, visible)
        if place >= draw(self.seed, block) % (visible + 1):
            place += missing
        return self.first + (block * (visible + missing) + place) * self.stride

    def rank_of(self, message_id: int) -> int:
        """How many messages have a lower id, counting without an upper end."""
        slot = max(0, -(-(message_id - self.first) // self.stride))
        visible, missing = self.gaps
        if not missing:
            return slot
        block, place = divmod(slot, visible + missing)
        cut = draw(self.seed, block) % (visible + 1)
        if place > cut:
            place = max(cut, place - missing)
        return block * visible + place
