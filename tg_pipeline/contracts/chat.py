"""A chat as people name it, as the registry keeps it and as Telegram addresses it."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tg_pipeline.contracts.days import FIRST_DAY
from tg_pipeline.contracts.names import has_controls

SLUG_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
"""Dagster takes no longer one: it is the value of a run's tag."""
SLUG_RULE = "1-63 of a-z, 0-9, '_' and '-', beginning and ending with a letter or digit"

PeerKind = Literal["channel", "chat", "user"]


def is_slug(text: str) -> bool:
    """Whether the text may name a chat in paths and asset keys."""
    return SLUG_PATTERN.fullmatch(text) is not None


def identifier(slug: str) -> str:
    """The slug in letters, digits and underscores: what Dagster takes for groups and jobs, where each is unique."""
    return slug.replace("-", "_")


def _checked_slug(text: str) -> str:
    if not is_slug(text):
        raise ValueError(f"{text!r} cannot be a slug: allowed are {SLUG_RULE}")
    return text


def _checked_name(text: str) -> str:
    if has_controls(text):
        raise ValueError("it holds control characters")
    return text


Slug = Annotated[str, AfterValidator(_checked_slug)]


class RegisteredChat(BaseModel):
    """One entry of `chats.yaml`.

    `chat` is the name a person gave (@username, t.me link, numeric id, title). `id` is Telegram's marked id, learned
    when the chat was added: it later distinguishes a moved username from the chat that was meant. `start` is the
    first UTC day of the chat's partitions. `account` is the user id of the account that the chat belongs to, where its
    message ids are that account's own (private dialogs, basic groups); it is read with no other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: Slug
    chat: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_checked_name)]
    id: int | None = Field(default=None, strict=True, gt=-(2**63), lt=2**63)
    username: str | None = None
    title: str | None = None
    start: date | None = Field(default=None, ge=FIRST_DAY)
    account: int | None = Field(default=None, strict=True, gt=0, lt=2**63)


@dataclass(frozen=True, slots=True)
class Peer:
    """How one account addresses one chat. `id` is the bare positive id; `access_hash` is the account's own."""

    kind: PeerKind
    id: int
    access_hash: int
    username: str | None = None
    title: str | None = None

    @property
    def marked_id(self) -> int:
        """The id in the notation of bots and exports: users positive, basic groups -id, channels -100id."""
        match self.kind:
            case "user":
                return self.id
            case "chat":
                return -self.id
            case "channel":
                return -(1_000_000_000_000 + self.id)
