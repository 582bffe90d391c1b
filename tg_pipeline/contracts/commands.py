"""Commands as other services push them: what they may say, and the one reason where they may not.

`schemas/command.schema.json` is made of these models; `docs/commands.md` explains them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - a field is named `date`, which would hide the type
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tg_pipeline.contracts.days import DayRange, parse_day
from tg_pipeline.contracts.errors import InputError, TgPipelineError
from tg_pipeline.contracts.names import ALLOWED as NAMES_ALLOWED
from tg_pipeline.contracts.names import parse_name
from tg_pipeline.contracts.strict_json import NotStrict, read_json, shown

COMMAND_SCHEMA_VERSION: Final = "1.1.0"
"""Its first number is raised when a command that was valid is not any more."""
MAX_COMMAND_BYTES = 16_384
MAX_DAYS = 3_660
"""Of one command: ten years."""
KEY_LENGTH = 200
OPTIONS_SHOWN = 10
OPTION_NAME_SHOWN = 40

UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

Strategy = Literal["batch", "per_day"]
Mode = Literal["date", "days", "range"]
Params: TypeAlias = dict[str, Any]


class CommandError(TgPipelineError):
    """A command that will not be carried out.

    `field` is a dotted path, empty where the text as such is no command; `value` what was found there, cut short.
    `error_type` is a name for programs: "NotJson", "TooLong", "InvalidField", "UnknownField", "MissingField", ...
    """

    def __init__(self, error_type: str, reason: str, *, field: str = "", value: Any = None, allowed: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.error_type = error_type
        self.reason = reason
        self.field = field
        self.value = None if value is None else shown(value)
        self.allowed = allowed


def _day(text: str) -> str:
    try:
        return parse_day(text, first=Date.min).isoformat()
    except InputError as error:
        raise ValueError(str(error).removeprefix("date: ")) from None


def _name(text: str) -> str:
    try:
        parse_name(text)
    except InputError as error:
        raise ValueError(str(error).removeprefix("chat: ")) from None
    return text.strip()


def _uuid(text: str) -> str:
    if not re.fullmatch(UUID_PATTERN, text):
        raise ValueError(f"{text[:40]!r} is not a UUID, such as 0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11")
    return text.lower()


Day = Annotated[
    str,
    AfterValidator(_day),
    Field(
        description="A UTC day, YYYY-MM-DD; no time and no zone. Not after today (UTC).",
        json_schema_extra={"format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    ),
]


class Options(BaseModel):
    """How a command is carried out. All may be left out.

    Others are accepted, so that a client of another version is served, and named as ignored by the event started.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    force: bool = Field(
        default=False,
        description="Read days again that are archived and were over when they were read (sealed). Otherwise they are "
        "passed over; today is always read.",
    )
    priority: int = Field(
        default=0,
        ge=0,
        le=9,
        description="0 to 9: the higher goes first, within a chat and between chats. What runs already is not "
        "interrupted.",
    )

    @property
    def known(self) -> dict[str, Any]:
        """Those that are known here."""
        return self.model_dump(include=set(Options.model_fields))

    @property
    def ignored(self) -> tuple[str, ...]:
        """The names of those that are not known here, cut short."""
        names = [shown(name)[:OPTION_NAME_SHOWN] for name in self.model_extra or ()]
        return (*names[:OPTIONS_SHOWN], *(["..."] if len(names) > OPTIONS_SHOWN else []))


_UUID_SCHEMA: dict[str, Any] = {"format": "uuid", "pattern": f"^{UUID_PATTERN}$"}


class _Fetch(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    command: Literal["fetch"] = Field(description="What to do. There is only fetch.")
    chat: Annotated[str, AfterValidator(_name)] = Field(
        min_length=1, max_length=256, description=f"The chat: {NAMES_ALLOWED}. Always a text, a numeric id too."
    )
    strategy: Strategy | None = Field(
        default=None,
        description="batch: a run for each chunk of days; per_day: a run for each day. Left out or null: as the "
        "platform's setting FETCH_STRATEGY says.",
    )
    options: Options = Field(default_factory=Options, description="How it is carried out.")
    command_id: Annotated[str, AfterValidator(_uuid), Field(json_schema_extra=_UUID_SCHEMA)] | None = Field(
        default=None,
        description="Stands in every event of the command, in lower case. A command of the same id within "
        "IDEMPOTENCY_TTL after the first one's end is answered and not carried out. Left out or null: one is made up.",
    )
    idempotency_key: Annotated[str, Field(min_length=1, max_length=KEY_LENGTH)] | None = Field(
        default=None,
        description="Commands of one key are one, until IDEMPOTENCY_TTL after the first one's end: the later ones get "
        "the first one's outcome.",
    )

    @property
    def params(self) -> Params:
        """What events repeat of the command."""
        given = self.model_dump(
            mode="json", by_alias=True, exclude={"command", "chat", "mode", "command_id", "options"}
        )
        return {key: value for key, value in given.items() if value is not None} | {
            "options": self.options.model_dump(exclude_defaults=True, include=set(Options.model_fields))
        }


class FetchDate(_Fetch):
    """One UTC day."""

    mode: Literal["date"] = Field(description="One day: `date`.")
    date: Day

    def days(self, today: Date) -> DayRange:  # noqa: ARG002 - as the others
        """The day, as a range."""
        day = Date.fromisoformat(self.date)
        return DayRange(day, day)


class FetchDays(_Fetch):
    """The last `days` UTC days, today included: 1 is today alone."""

    mode: Literal["days"] = Field(description="The last days: `days` of them.")
    days_: int = Field(
        alias="days",
        ge=1,
        le=MAX_DAYS,
        description="The last N UTC days, today included: 1 is today alone, 7 is today and the six days before it. "
        "Today is the UTC day on which the command is taken from the list. Days before the chat's first are left out.",
    )

    def days(self, today: Date) -> DayRange:
        """The days, counted back from `today`."""
        return DayRange(today - timedelta(days=self.days_ - 1), today)


class FetchRange(_Fetch):
    """The UTC days `from` to `to`, both included, at most ten years (3,660 days) of them."""

    mode: Literal["range"] = Field(description="The days `from` to `to`.")
    from_: Day = Field(
        alias="from",
        description="The first UTC day, YYYY-MM-DD; no time and no zone. Days before the chat's first are left out.",
    )
    to: Day = Field(description="The last UTC day, included; not before `from`, not after today (UTC).")

    def days(self, today: Date) -> DayRange:  # noqa: ARG002 - as the others
        """The range. InputError where it runs backwards."""
        return DayRange(Date.fromisoformat(self.from_), Date.fromisoformat(self.to))


Command = FetchDate | FetchDays | FetchRange
COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="mode")])


@dataclass(frozen=True, slots=True)
class Plan:
    """The days that a command comes to. `clamped` says that it asked for days before the first that can be had."""

    days: DayRange
    clamped: bool = False


def parse_command(raw: bytes, size: int | None = None) -> Command:
    """Read a command. CommandError with the first thing that is wrong.

    `size` is the length of what was pushed, where `raw` is only its beginning.
    """
    length = size if size is not None else len(raw)
    if length > MAX_COMMAND_BYTES:
        raise CommandError("TooLong", f"{length:,} bytes are too many.", allowed=f"up to {MAX_COMMAND_BYTES:,} bytes")
    try:
        return COMMAND.validate_python(read_json(raw))
    except NotStrict as error:
        allowed = "each key once" if error.kind == "DuplicateKey" else _AN_OBJECT
        raise CommandError(error.kind, error.reason, field=error.key, value=error.value, allowed=allowed) from None
    except ValidationError as error:
        raise _first(error.errors(include_url=False)) from None


def print_command(command: Command) -> bytes:
    """As JSON; what is not set is left out."""
    return COMMAND.dump_json(command, by_alias=True, exclude_none=True)


_SAID_BY = {"date": ("date", "date"), "days": ("days", "days"), "range": ("from", "to")}
"""The fields that say where the days of a mode begin and end."""


def plan(command: Command, *, today: Date, start: Date) -> Plan:
    """The days to fetch, from `start` (a chat's first partition) on.

    CommandError for days in the future, ranges that run backwards or are too long, and those that end before `start`.
    """
    first_field, last_field = _SAID_BY[command.mode]
    try:
        days = command.days(today)
    except InputError:
        raise CommandError(
            "InvalidRange",
            f"it is after {last_field}: a range must run forward in time",
            field=first_field,
            value=getattr(command, "from_", None),
            allowed=f"up to {getattr(command, last_field)}",
        ) from None
    if len(days) > MAX_DAYS:
        raise CommandError(
            "RangeTooLong",
            f"{len(days):,} days are too many",
            field=first_field,
            value=str(days),
            allowed=f"up to {MAX_DAYS:,} days",
        )
    if days.last > today:
        raise CommandError(
            "FutureDay",
            "the day is in the future",
            field=last_field,
            value=str(days.last),
            allowed=f"up to today, {today} UTC",
        )
    if days.last < start:
        raise CommandError(
            "BeforeStart",
            f"the chat's first day is {start}",
            field=last_field,
            value=str(days.last),
            allowed=f"from {start} on",
        )
    return Plan(DayRange(max(days.first, start), days.last), clamped=days.first < start)


def _first(problems: Sequence[ErrorDetails]) -> CommandError:
    problem = problems[0]
    kind, found = problem["type"], problem["input"]
    mode, *path = problem["loc"] or ("",)
    field = ".".join(map(str, path))
    if kind.startswith("union_tag"):
        given = "mode" in found
        return CommandError(
            "InvalidField" if given else "MissingField",
            "there is no such mode" if given else _MISSING,
            field="mode",
            value=shown(found["mode"]) if given else None,
            allowed=", ".join(_MODELS),
        )
    error_type, reason = _REASONS.get(kind, ("InvalidField", "it cannot be read"))
    if kind == "extra_forbidden":
        allowed = ", ".join(said.alias or name for name, said in _MODELS[str(mode)].model_fields.items())
    else:
        allowed = _ALLOWED.get(field, _AN_OBJECT)
    return CommandError(
        error_type,
        reason.format_map(problem.get("ctx", {})),
        field=shown(field),
        value=None if kind == "missing" else shown(found),
        allowed=allowed,
    )


_AN_OBJECT = "one JSON object, in UTF-8"
_MISSING = "it must be there"
_MODELS: dict[str, type[BaseModel]] = {"date": FetchDate, "days": FetchDays, "range": FetchRange}
_REASONS = {
    "missing": ("MissingField", _MISSING),
    "extra_forbidden": ("UnknownField", "there is no such field here"),
    "value_error": ("InvalidField", "{error}"),
    "string_type": ("InvalidField", "it must be a text, in quotes"),
    "string_too_short": ("InvalidField", "it must not be empty"),
    "string_too_long": ("InvalidField", "it must not be longer than {max_length} characters"),
    "int_type": ("InvalidField", "it must be a whole number, without quotes"),
    "greater_than_equal": ("InvalidField", "it must be at least {ge}"),
    "less_than_equal": ("InvalidField", "it must be at most {le}"),
    "bool_type": ("InvalidField", "it must be true or false, without quotes"),
    "literal_error": ("InvalidField", "it must be {expected}"),
    "model_type": ("InvalidField", "it must be an object"),
    "model_attributes_type": ("InvalidField", "it must be an object"),
}


def _allowed(field: FieldInfo) -> str:
    if field.annotation is bool:
        return "true, false"
    limits = {type(limit): limit for limit in field.metadata}
    return f"a whole number from {limits[Ge].ge} to {limits[Le].le}"


_DAY_ALLOWED = "UTC dates only: YYYY-MM-DD, without time and zone"
_ALLOWED = {
    "command": "fetch",
    "chat": NAMES_ALLOWED,
    "date": _DAY_ALLOWED,
    "from": _DAY_ALLOWED,
    "to": _DAY_ALLOWED,
    "days": f"a whole number from 1 to {MAX_DAYS}",
    "strategy": "batch, per_day",
    "options": f"an object of {', '.join(Options.model_fields)}",
    **{f"options.{name}": _allowed(field) for name, field in Options.model_fields.items()},
    "command_id": "a UUID of 36 characters",
    "idempotency_key": f"1-{KEY_LENGTH} characters",
}
