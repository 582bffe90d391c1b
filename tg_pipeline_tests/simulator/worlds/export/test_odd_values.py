from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

from tg_pipeline.simulator.worlds.export import load_export
from tg_pipeline.simulator.worlds.export.actions import _ACTIONS
from tg_pipeline_tests.exports.hand_made import chat, message, service

Save = Callable[..., Path]
ODD: list[Any] = [
    None,
    True,
    -1,
    1 << 31,
    (1 << 64) - 1,
    1e308,
    "\0",
    "9" * 30,
    "user" + "9" * 30,
    "x" * 999,
    [[]],
    [{}],
    {},
]


def full() -> Iterator[dict[str, Any]]:
    """Messages that together have every field that is read."""
    yield message(
        text=[{"type": "custom_emoji", "text": "x", "document_id": "1"}],
        text_entities=[{"type": "mention_name", "text": "x", "user_id": 7}],
        edited_unixtime="1714557600",
        author="A",
        via_bot="@b",
        forwarded_from="C",
        forwarded_from_id="channel3",
        forwarded_date_unixtime="1714557600",
        saved_from="D",
        reply_to_message_id=1,
        reply_to_peer_id="channel9",
        reactions=[{"type": "custom_emoji", "count": 1, "document_id": "5"}],
    )
    yield message(photo="p.jpg", width=1, height=1, photo_file_size=1, self_destruct_period_seconds=1)
    file = {"file": "f", "file_name": "f", "file_size": 1, "mime_type": "a/b", "duration_seconds": 1, "width": 1}
    for kind in ("sticker", "animation", "video_file", "video_message", "audio_file", "voice_message", None):
        yield message(**file, height=1, media_type=kind, sticker_emoji="x", title="t", performer="p")
    yield message(poll={"question": "q", "closed": False, "total_voters": 1, "answers": [{"text": "a", "voters": 1}]})
    place = {"latitude": 1.0, "longitude": 1.0}
    yield message(location_information=place, live_location_period_seconds=5)
    yield message(location_information=place, place_name="n", address="a")
    yield message(contact_information={"first_name": "f", "last_name": "l", "phone_number": "1"})
    yield message(invoice_information={"title": "t", "description": "d", "currency": "EUR", "amount": 1})
    fields = {"title": "t", "members": ["a"], "inviter": "a", "duration": 1, "duration_seconds": 1, "boosts": 1}
    fields |= {"schedule_date": 1, "emoticon": "x", "score": 1, "period": 1, "new_title": "t", "message_id": 1}
    for action in (*_ACTIONS, "edit_group_photo", "something_new"):
        yield service(1, action, photo="p.jpg" if action == "edit_group_photo" else None, **fields)


def varied(value: Any) -> Iterator[Any]:
    """The value with each thing within it, however deep, in the place of which something odd stands."""
    yield from ODD
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: other} for other in varied(value[key]))
    if isinstance(value, list):
        yield from ([other] for item in value for other in varied(item))


def test_whatever_stands_in_a_field_the_others_are_served(save: Save) -> None:
    odd = [other for sound in full() for other in varied(sound) if isinstance(other, dict)]
    numbered = [{**other, "id": number} for number, other in enumerate(odd, start=1)]
    served = load_export(save(chat(*numbered, message(len(odd) + 1, "last"), kind="private_supergroup")))[0]
    messages = served.messages(0, len(odd) + 1, inf)
    assert messages[-1].message == "last"
    for one in (*messages, *served.people(messages)):
        bytes(one)
    assert len(messages) > len(odd) * 0.8
