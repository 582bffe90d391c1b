"""The day file: one chat, one UTC day, every message of it. See `docs/day-file.md` for the layout on disk.

The fetcher writes messages as plain dicts of this shape, for speed; these models are the contract that readers,
checks and the exported JSON Schema hold them to.
"""

from collections.abc import Mapping
from datetime import date as Date  # noqa: N812 - the field is named `date`, which would hide the type
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tg_pipeline.contracts.chat import Slug
from tg_pipeline.contracts.names import CHANNEL_MARK
from tg_pipeline.contracts.text import count

SCHEMA_VERSION = "1.1.0"
SOURCE: Final = "telegram"
UNREADABLE: Final = "unreadable"
"""The type of what stands for a message that could not be decoded."""


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
    """A formatted stretch of `text`. `offset` and `length` count UTF-16 code units, as Telegram does.

    What few kinds have besides (`collapsed`, `date`, `old_text` and the like) stands under the wire's own name.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="What it is: bold, url, mention, text_link and so on, as the Bot API names it.")
    offset: int = Field(ge=0, description="Where it begins in the text, in UTF-16 code units.")
    length: int = Field(ge=0, description="How long it is, in UTF-16 code units.")
    url: str | None = Field(default=None, description="The address of a text_link.")
    user_id: int | None = Field(default=None, description="The user of a text_mention.")
    language: str | None = Field(default=None, description="The programming language of a pre.")
    document_id: int | None = Field(default=None, description="The custom emoji.")


class ForwardOrigin(_Record):
    """Where a forwarded message came from, as far as its author lets anyone see."""

    from_id: int | None = Field(default=None, description="Marked id of the author or chat it comes from.")
    from_name: str | None = Field(default=None, description="The author's name, where only that is shown.")
    date: UtcText | None = Field(default=None, description="When the original was sent, UTC.")
    channel_post: int | None = Field(default=None, description="The message's id in the channel it comes from.")
    post_author: str | None = Field(default=None, description="Signature of the original post.")


class Reaction(_Record):
    """One kind of reaction: an emoji, `custom:<document id>` or `paid`, and how often it was given."""

    reaction: str = Field(description="An emoji, custom:<document id>, or paid.")
    count: int = Field(ge=0, description="How often it was given.")


class Message(_Record):
    """One message. Ids of people and chats are marked ids. Fields without a value on the wire are null.

    `deleted_at` is set where, and only where, `deleted` is true. That entities lie within `text` is Telegram's to
    keep: a reader must not fail where it does not, so that `tg-pipeline verify` says it and not this model.
    """

    id: int = Field(gt=0, description="Telegram's id of the message in this chat.")
    date: UtcText = Field(description="When it was sent, UTC.")
    from_id: int | None = Field(description="Marked id of its author; null where nobody is named.")
    chat: Slug = Field(description="The chat's slug.")
    text: str = Field(description="The text, a medium's caption, or the words of a rich message.")
    reply_to: int | None = Field(description="The message of this chat, or of `reply_to_chat`, that it answers.")
    views: int | None = Field(description="How often it was seen.")
    forwards: int | None = Field(description="How often it was forwarded.")
    replies_count: int | None = Field(description="How many messages answer it.")
    entities: list[Entity] = Field(description="Formatted stretches of the text.")
    edited: bool = Field(description="Whether it was edited; once true it stays true.")
    edit_date: UtcText | None = Field(description="Telegram's time of the last edit, UTC; a reaction may set it too.")
    deleted: bool = Field(description="Whether a later read of the day no longer found it.")
    deleted_at: UtcText | None = Field(
        description="When it was first found missing, UTC; set where `deleted` is true, and only there."
    )
    type: str = Field(
        default="message",
        description="`message`, `service`, the wire's own name of a kind this version does not know, or `unreadable` "
        "for what stands for a message that could not be decoded: only its id is known, its date is that of the "
        "message before it.",
    )
    action: dict[str, Any] | None = Field(default=None, description="Of a service message: its type and what it says.")
    media: dict[str, Any] | None = Field(
        default=None, description="What is attached: its type, the words in it and what distinguishes it; no bytes."
    )
    grouped_id: int | None = Field(default=None, description="The same for messages of one album.")
    thread_id: int | None = Field(
        default=None,
        description="The message that heads the thread or forum topic, where that is not `reply_to` itself.",
    )
    topic: bool | None = Field(default=None, description="Whether the thread is a forum topic.")
    reply_to_chat: int | None = Field(
        default=None, description="Marked id of the chat that `reply_to` is a message of, where it is another one."
    )
    forward: ForwardOrigin | None = Field(default=None, description="Where a forwarded message comes from.")
    reactions: list[Reaction] | None = Field(default=None, description="Each kind of reaction and its number.")
    via_bot_id: int | None = Field(default=None, description="The bot it was sent through.")
    post_author: str | None = Field(default=None, description="The signature of a channel post.")
    pinned: bool | None = Field(default=None, description="Whether it is pinned.")
    wire: dict[str, Any] | None = Field(
        default=None,
        description="Every other field that Telegram sent, under its own name in Telegram's schema; under `media`, "
        "`reply_to`, `fwd_from`, `reactions` and `replies` what the fields made of these do not say.",
    )

    @model_validator(mode="after")
    def _deleted_at_some_time(self) -> Self:
        if self.deleted is (self.deleted_at is None):
            raise ValueError(f"deleted is {str(self.deleted).lower()} and deleted_at is {self.deleted_at or 'null'}")
        return self


class Thread(_Record):
    """The messages of this day that hang under one root message, which may lie on an earlier day."""

    id: int = Field(gt=0, description="The message that heads it.")
    topic: bool = Field(description="Whether it is a forum topic.")
    message_count: int = Field(gt=0, description="Messages of this day in it.")
    first_message_id: int = Field(description="The lowest of their ids.")
    last_message_id: int = Field(description="The highest of their ids.")


class Participant(_Record):
    """Somebody, or some chat, whose id stands as `from_id` in this day's messages."""

    id: int = Field(description="Marked id.")
    kind: Literal["user", "chat", "channel"] = Field(description="What it is.")
    name: str | None = Field(description="Display name or title.")
    username: str | None = Field(description="Without the @.")
    bot: bool | None = Field(default=None, description="Whether it is a bot.")


class Condition(_Record):
    """Something that keeps a day file from being the whole day, although it is valid.

    `not_visible`: the account may not see messages of this day (history before it joined, or cleared history);
    `first_id` is the lowest id it may see, null where it sees none, `count` how many archived messages it no longer
    sees. `unreadable`: `count` messages could not be decoded; placeholders with their ids stand for them. `held_back`:
    the last read lacked `count` of the file's messages, too many to be deletions, or was made with `account`, and
    nothing shows that the file is that account's; what it lacked was kept. `moved`: the chat went on as another
    one, `chat_id`.
    """

    kind: Literal["not_visible", "unreadable", "held_back", "moved"] = Field(description="What it is.")
    count: int | None = Field(default=None, ge=0, description="How many messages it concerns, where that is known.")
    first_id: int | None = Field(default=None, description="The lowest message id that it concerns.")
    last_id: int | None = Field(default=None, description="The highest message id that it concerns.")
    since: UtcText | None = Field(default=None, description="When it was first noticed, UTC.")
    chat_id: int | None = Field(default=None, description="Of moved: marked id of the chat it went on as.")
    account: int | None = Field(
        default=None, description="Of held_back: user id of the account that read, where the file may be another's."
    )


def moved_to(action: Mapping[str, Any] | None) -> int | None:
    """Marked id of the supergroup that a basic group became, where a message's action says so."""
    if action is None or action.get("type") != "chat_migrate_to":
        return None
    return -(CHANNEL_MARK + int(action["channel_id"]))


def moved_from(action: Mapping[str, Any] | None) -> int | None:
    """Marked id of the basic group that a supergroup was, where a message's action says so."""
    if action is None or action.get("type") != "channel_migrate_from":
        return None
    return -int(action["chat_id"])


def describe(condition: Condition) -> str:
    """What keeps the day from being whole, and what can be done about it."""
    messages = count(condition.count or 0, "message")
    match condition.kind:
        case "not_visible":
            hidden = "any message" if condition.first_id is None else f"messages before {condition.first_id}"
            return (
                f"the account that read it cannot see {hidden}; what was archived stays. "
                "To complete it, fetch the day again (in a command: with force) with an account that sees it"
            )
        case "unreadable":
            return f"{messages} cannot be decoded, the first is {condition.first_id}: upgrade, then fetch the day again"
        case "held_back" if condition.account is not None:
            return (
                f"nothing shows that this file, which was left as it was, is what account {condition.account} sees: "
                "fetch the day with the account that it was archived with; "
                f"if that is {condition.account}, and {messages} were deleted, with --accept-deletions"
            )
        case "held_back":
            return (
                f"the last read lacked {messages} of this file, which are kept: fetch the day again; "
                "if they were deleted, with --accept-deletions"
            )
        case "moved":
            return f"the chat goes on as {condition.chat_id}: tg-pipeline chats add {condition.chat_id}"


class DayHeader(_Record):
    """The day file without its three lists."""

    schema_version: str = Field(description="The first number is raised by a breaking change.")
    source: Literal["telegram"] = Field(description="Where the messages come from.")
    chat: Slug = Field(description="The chat's slug, which is also its directory.")
    chat_id: int = Field(description="The chat's marked id.")
    account: int | None = Field(
        description="User id of the account whose view this is, where message ids are the account's own (private "
        "dialogs, basic groups); null where every account sees the same ids."
    )
    date: Date = Field(description="The UTC day.")
    timezone: Literal["UTC"] = Field(description="Of the day and of every time in the file.")
    sealed: bool = Field(
        description="Whether the day was over, by Telegram's clock, before it was read to its end, and all is archived."
    )
    message_count: int = Field(ge=0, description="How many the file holds, deleted ones included.")
    first_message_id: int | None = Field(description="The lowest id; null in an empty day.")
    last_message_id: int | None = Field(description="The highest id; null in an empty day.")
    conditions: list[Condition] = Field(description="What keeps the file from being the whole day; empty as a rule.")
    content_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 over the lines of the three lists; docs/day-file.md shows how to check it.",
    )


class DayFile(DayHeader):
    """A whole day."""

    messages: list[Message] = Field(description="Ascending by id.")
    threads: list[Thread] = Field(description="Ascending by id.")
    participants: list[Participant] = Field(
        description="Those whose id is the `from_id` of a message, as far as Telegram described them; ascending by id."
    )
