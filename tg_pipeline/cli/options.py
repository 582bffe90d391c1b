"""Arguments that several verbs share."""

from datetime import UTC, date, datetime
from typing import Any

import click

from tg_pipeline.contracts.days import parse_day
from tg_pipeline.contracts.errors import InputError


class Day(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.5
    """A UTC day: YYYY-MM-DD, `today` or `yesterday`."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day, or a usage error that says what is allowed."""
        if isinstance(value, date):
            return value
        today = today_utc()
        if value in {"today", "yesterday"}:
            return today if value == "today" else date.fromordinal(today.toordinal() - 1)
        try:
            return parse_day(str(value), _flag(param))
        except InputError as error:
            self.fail(str(error), param, ctx)


def _flag(param: click.Parameter | None) -> str:
    return param.opts[0] if param else "date"


def today_utc() -> date:
    """The UTC day it is."""
    return datetime.now(UTC).date()
