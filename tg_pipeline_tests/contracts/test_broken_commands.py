"""Whatever is pushed, it gets one reason."""

from datetime import date

import pytest

from tg_pipeline.contracts.commands import CommandError, parse_command, plan
from tg_pipeline_tests.defs.broken_commands import HUGE, KINDS, Broken, broken_commands
from tg_pipeline_tests.telegram_account import FIRST_DAY

EVERY_KIND = HUGE + sum(map(len, KINDS.values()))


@pytest.mark.parametrize("broken", list(broken_commands(EVERY_KIND, seed=1)))
def test_every_broken_command_is_refused_for_its_reason(broken: Broken) -> None:
    if broken.error_type == "ChatNotRegistered":
        return  # fine as such; only the registry tells
    with pytest.raises(CommandError) as refused:
        plan(parse_command(broken.raw), today=date(2026, 3, 1), start=FIRST_DAY)
    assert refused.value.error_type == broken.error_type
    assert len(str(refused.value).encode()) < 1_000, "an event is not to be as long as what it tells of"


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"command":"fetch","mode":"date","options":['])
def test_depth_is_refused_wherever_the_stack_ends(opening: str) -> None:
    """A text that is just not too deep to be read was too deep to be told of: it stopped all commands behind it."""
    for depth in range(1, 1_100):
        text = opening * depth + "1" + "".join({"[": "]", "{": "}"}[c] for c in (opening * depth)[::-1] if c in "[{")
        with pytest.raises(CommandError):
            parse_command(text.encode())
