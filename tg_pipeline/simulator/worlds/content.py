"""What every kind of synthetic content shares."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds.draws import derive


class Content(ABC):
    """Turns ranks into messages. A file's id carries the rank of its message in the lower 32 bits, a lane above."""

    def __init__(self, seed: int) -> None:
        """Contents of different seeds draw differently, and their files have different ids."""
        self._seed = derive(seed, "content")
        self._lane = derive(seed, "files") >> 33 << 32

    @abstractmethod
    def message(self, rank: int, message_id: int, timestamp: int) -> TypeMessage:
        """The message of that rank; it never changes."""

    def topics(self) -> Sequence[tl.ForumTopic]:
        """The forum topics besides General, oldest first."""
        return ()

    def replies(self, root_rank: int, size: int) -> Sequence[int]:  # noqa: ARG002 -- nothing hangs under anything
        """Ranks below `size` in the thread under that rank, ascending."""
        return ()

    def file_rank(self, file_id: int) -> int | None:
        """The rank whose message would hold that file; None for a file of another chat."""
        return file_id & 0xFFFF_FFFF if file_id >> 32 == self._lane >> 32 else None
