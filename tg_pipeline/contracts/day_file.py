"""The day file: one chat, one UTC day, every message of it. See `docs/day-file.md` for the layout on disk.

The fetcher writes messages as plain dicts of this shape, for speed; these models are the contract that readers,
checks and the exported JSON Schema hold them to.
"""

from datetime import date as Date  # noqa: N812 - the field is named `date`, which would hide the type
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tg_pipeline.contracts.chat import Slug

SCHEMA_VERSION = "1.0.0"
SOURCE: Final = "telegram"


def _on_the_clock(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text} is no time: {error}") from None
    return text


UtcText = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"), AfterValidator(_on_the_clock)
]
"""`YYYY-MM-DDTHH:MM:SSZ`, a time that calendar and clock have."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entity(_Record):
    """A formatted stretch of `text`. `offset` and `length` count UTF-16 code units, as Telegram does."""

    type: str
    offset: int = Field(ge=0)
    length: int = Field(ge=0)
    url: str | None = None
    user_id: int | None = None
    language: str | None = None
    document_id: int | None = None


class ForwardOrigin(_Record):
    """Where a forwarded message came from, as far as its author lets anyone see."""

    from_id: int | None = None
    from_name: str | None = None
    date: UtcText | None = None
    channel_post: int | None = None
    post_author: str | None = None


class Reaction(_Record):
    """One kind of reaction: an emoji, `custom:<document id>` or `paid`, and how often it was given."""

    reaction: str
    count: int = Field(ge=0)


class Message(_Record):
    """One message. Ids of people and chats are marked ids. Fields without a value on the wire are null.

    `deleted_at` is set where, and only where, `deleted` is true. That entities lie within `text` is Telegram's to
    keep: a reader must not fail where it does not, so that `tg-pipeline verify` says it and not this model.
    """

    id: int = Field(gt=0)
    date: UtcText
    from_id: int | None
    chat: Slug
    text: str
    reply_to: int | None
    views: int | None
    forwards: int | None
    replies_count: int | None
    entities: list[Entity]
    edited: bool
    edit_date: UtcText | None
    deleted: bool
    deleted_at: UtcText | None
    type: str = "message"
    """`message`, `service`, or the wire's own name of a kind this version does not know."""
    action: dict[str, Any] | None = None
    media: dict[str, Any] | None = None
    grouped_id: int | None = None
    thread_id: int | None = None
    """The message id that heads the thread or forum topic, where that is not `reply_to` itself."""
    topic: bool | None = None
    reply_to_chat: int | None = None
    forward: ForwardOrigin | None = None
    reactions: list[Reaction] | None = None
    via_bot_id: int | None = None
    post_author: str | None = None
    pinned: bool | None = None

    @model_validator(mode="after")
    def _deleted_at_some_time(self) -> Self:
        if self.deleted is (self.deleted_at is None):
            raise ValueError(f"deleted is {str(self.deleted).lower()} and deleted_at is {self.deleted_at or 'null'}")
        return self


class Thread(_Record):
    """The messages of this day that hang under one root message, which may lie on an earlier day."""

    id: int = Field(gt=0)
    topic: bool
    message_count: int = Field(gt=0)
    first_message_id: int
    last_message_id: int


class Participant(_Record):
    """Somebody, or some chat, whose id stands as `from_id` in this day's messages."""

    id: int
    kind: Literal["user", "chat", "channel"]
    name: str | None
    username: str | None
    bot: bool | None = None


class DayHeader(_Record):
    """The day file without its three lists."""

    schema_version: str
    source: Literal["telegram"]
    chat: Slug
    chat_id: int
    date: Date
    timezone: Literal["UTC"]
    sealed: bool
    message_count: int = Field(ge=0)
    first_message_id: int | None
    last_message_id: int | None
    content_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DayFile(DayHeader):
    """A whole day."""

    messages: list[Message]
    threads: list[Thread]
    participants: list[Participant]
