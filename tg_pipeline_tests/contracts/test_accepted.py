"""What becomes of a command's options once it is accepted."""

from datetime import date

import pytest

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import Options

DAY = date(2025, 11, 7)


def accepted(**options: object) -> AcceptedCommand:
    one_day = {"first": DAY, "last": DAY, "mode": "date", "params": {"date": str(DAY)}}
    return AcceptedCommand.model_validate({"id": "id", "slug": "durov", "chat": "@durov"} | one_day | options)


def test_every_option_is_an_option_of_the_accepted_command_too() -> None:
    given = Options.model_validate({"force": True, "priority": 3, "unheard_of": 1})
    assert accepted(**given.known).known == given.known == {"force": True, "priority": 3}


@pytest.mark.parametrize(("option", "is_content"), [({"force": True}, True), ({"priority": 3}, False)])
def test_commands_that_differ_in_the_order_only_ask_for_the_same(option: dict[str, object], is_content: bool) -> None:
    assert (accepted(**option).content_key != accepted().content_key) == is_content


def test_one_that_was_stored_is_read_again() -> None:
    stored = accepted(force=True, priority=3, ignored_options=["media"])
    assert AcceptedCommand.model_validate_json(stored.model_dump_json()) == stored


def test_the_start_says_what_is_not_done() -> None:
    event = accepted(clamped=True, ignored_options=["media"]).event("started", "running")
    assert event.message == (
        "Days before 2025-11-07, the chat's first, were left out. Unknown options were ignored: media."
    )
