"""What can be wrong with an archive."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from tg_pipeline.contracts.chat import Slug


class FindingKind(StrEnum):
    """What can be wrong. Those of WARNINGS leave the archive complete and correct all the same."""

    DAMAGED = "damaged"
    SCHEMA = "schema"
    ORDER = "order"
    REPEATED = "repeated"
    DATE = "date"
    ENTITIES = "entities"
    HEADER = "header"
    THREADS = "threads"
    PARTICIPANTS = "participants"
    MISSING = "missing"
    NOT_FETCHED = "not_fetched"
    UNSEALED = "unsealed"
    NOT_VISIBLE = "not_visible"
    UNREADABLE = "unreadable"
    HELD_BACK = "held_back"
    MOVED = "moved"
    FOREIGN = "foreign"
    REGISTRY = "registry"
    PROGRESS = "progress"
    LEFTOVER = "leftover"
    INTERRUPTED = "interrupted"


WARNINGS = frozenset({FindingKind.LEFTOVER, FindingKind.INTERRUPTED, FindingKind.NOT_VISIBLE, FindingKind.NOT_FETCHED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `slug` and `day` are None where it concerns the archive, or the chat, as a whole."""

    slug: Slug | None
    day: date | None
    kind: FindingKind
    detail: str

    @property
    def is_warning(self) -> bool:
        """Whether the archive is complete and correct all the same."""
        return self.kind in WARNINGS
