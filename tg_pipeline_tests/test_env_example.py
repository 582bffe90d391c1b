"""`.env.example` is the list of settings that people read; it must be the list that the program reads."""

import re
from pathlib import Path

from tg_pipeline.settings import Settings

EXAMPLE = Path(__file__).parents[1] / ".env.example"


def shown() -> dict[str, str]:
    """The values of the example by key; a key may be commented out."""
    return dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    assert set(shown()) == {name.upper() for name in Settings.model_fields}


def test_the_values_shown_are_the_defaults() -> None:
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else str(field.default)
        assert shown()[name.upper()] == default, name
