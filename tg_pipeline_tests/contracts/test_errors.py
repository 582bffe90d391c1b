"""The error tree is what its picture shows."""

import re

from tg_pipeline.contracts import errors
from tg_pipeline.contracts.errors import FloodWaitError, TgPipelineError, other_account_hint

LINE = re.compile(r"^([│├└─ ]*)(\w+)(?:   .*)?$", re.MULTILINE)


def drawn() -> list[tuple[int, str]]:
    """Depth and name of every class in the picture."""
    picture = str(errors.__doc__).split("\n\n")[1]
    return [(len(indent) // 4, name) for indent, name in LINE.findall(picture)]


def test_the_picture_shows_every_class_under_its_base() -> None:
    bases: list[str] = []
    shown = {}
    for depth, name in drawn():
        bases[depth:] = [name]
        shown[name] = bases[depth - 1] if depth else "Exception"
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert shown == {name: kind.__base__.__name__ for name, kind in classes.items() if kind.__base__}


def test_every_class_says_what_it_is_for() -> None:
    assert not [kind for kind in TgPipelineError.__subclasses__() if not kind.__doc__]


def test_a_flood_is_a_sentence_with_its_numbers_beside_it() -> None:
    flood = FloodWaitError(9, "messages.getHistory", "premium")
    assert str(flood) == "Telegram asks to wait 9 s before the next messages.getHistory (premium wait)."
    assert (flood.seconds, flood.method, flood.reason) == (9, "messages.getHistory", "premium")


def test_the_hint_about_another_account_names_it_and_both_ways_out() -> None:
    assert other_account_hint(5001) == (
        "Log in with account 5001 again (`tg-pipeline login`), which must be the chat's `account` in chats.yaml if one "
        "is named there, or register the other account's chat under a slug of its own "
        "(`tg-pipeline chats add CHAT --slug SLUG --account ID`)."
    )
    assert other_account_hint(None).startswith("Log in with the account that it was archived with again ")
