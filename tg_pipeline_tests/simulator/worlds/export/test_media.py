from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest
from telethon.extensions import BinaryReader
from telethon.tl import types as tl

from tg_pipeline.simulator.worlds.export import load_export
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline_tests.exports.hand_made import chat, message, service

Save = Callable[..., Path]
NOT_INCLUDED = "(File not included. Change data exporting settings to download.)"


def media_of(path: Path) -> Any:
    """The media of an export's one message, as it arrives."""
    (sent,) = load_export(path)[0].messages(0, 9, inf)
    return BinaryReader(bytes(sent)).tgread_object().media


def attributes_of(path: Path) -> dict[type, Any]:
    """The attributes of an export's one document."""
    return {type(attribute): attribute for attribute in media_of(path).document.attributes}


def test_a_photo_has_its_measures(save: Save) -> None:
    media = media_of(save(chat(message(1, photo=NOT_INCLUDED, width=640, height=480, photo_file_size=999))))
    (size,) = media.photo.sizes
    assert (size.w, size.h, size.size) == (640, 480, 999)


def test_what_destroys_itself_says_when(save: Save) -> None:
    assert media_of(save(chat(message(1, photo=NOT_INCLUDED, self_destruct_period_seconds=30)))).ttl_seconds == 30


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("voice_message", {"voice": True, "round": False, "video": False}),
        ("video_message", {"voice": False, "round": True, "video": True}),
        ("video_file", {"voice": False, "round": False, "video": True}),
        ("animation", {"voice": False, "round": False, "video": False}),
        (None, {"voice": False, "round": False, "video": False}),
    ],
)
def test_kinds_of_files_are_told_apart(save: Save, kind: str | None, flags: dict[str, bool]) -> None:
    exported = message(1, file="files/a b.bin", media_type=kind, mime_type="x/y", file_size=3 << 31)
    media = media_of(save(chat(exported)))
    assert {name: getattr(media, name) for name in flags} == flags
    assert (media.document.mime_type, media.document.size) == ("x/y", 3 << 31)
    assert media.document.attributes[0].file_name == "a b.bin"


def test_a_file_without_a_type_is_a_stream_of_bytes(save: Save) -> None:
    assert media_of(save(chat(message(1, file=NOT_INCLUDED)))).document.mime_type == "application/octet-stream"


def test_the_particulars_of_a_file_are_its_attributes(save: Save) -> None:
    common = {"file": NOT_INCLUDED, "file_name": "f", "width": 4, "height": 3, "duration_seconds": 9}
    sticker = attributes_of(save(chat(message(1, media_type="sticker", sticker_emoji="😎", **common)), "sticker"))
    assert sticker[tl.DocumentAttributeSticker].alt == "😎"
    assert sticker[tl.DocumentAttributeImageSize].w == 4
    animation = attributes_of(save(chat(message(1, media_type="animation", **common)), "animation"))
    assert tl.DocumentAttributeAnimated in animation
    video = animation[tl.DocumentAttributeVideo]
    assert (video.w, video.h, video.duration) == (4, 3, 9.0)
    song = attributes_of(save(chat(message(1, media_type="audio_file", title="T", performer="P", **common)), "song"))
    audio = song[tl.DocumentAttributeAudio]
    assert (audio.title, audio.performer, audio.duration, audio.voice) == ("T", "P", 9, False)


def test_a_poll_has_its_answers_and_votes(save: Save) -> None:
    answers = [{"text": "yes", "voters": 3, "chosen": False}, {"text": "no", "voters": 1, "chosen": True}, "odd"]
    exported = {"question": "Well?", "closed": True, "total_voters": 4, "answers": answers}
    media = media_of(save(chat(message(1, poll=exported))))
    assert (media.poll.question.text, media.poll.closed) == ("Well?", True)
    assert [answer.text.text for answer in media.poll.answers] == ["yes", "no"]
    assert ([result.voters for result in media.results.results], media.results.total_voters) == ([3, 1], 4)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, tl.MessageMediaGeo),
        ({"live_location_period_seconds": 900}, tl.MessageMediaGeoLive),
        ({"place_name": "Café", "address": "Main St 1"}, tl.MessageMediaVenue),
    ],
)
def test_a_location_has_its_coordinates(save: Save, fields: dict[str, Any], kind: type) -> None:
    place = {"latitude": 59.5, "longitude": "east"}
    media = media_of(save(chat(message(1, location_information=place, **fields))))
    assert type(media).__name__ == kind.__name__
    assert (media.geo.lat, media.geo.long) == (59.5, 0.0)


def test_a_contact_and_an_invoice_keep_their_texts(save: Save) -> None:
    contact = {"first_name": "Ana", "last_name": "Silva", "phone_number": "+351 5"}
    media = media_of(save(chat(message(1, contact_information=contact)), "contact"))
    assert (media.first_name, media.last_name, media.phone_number) == ("Ana", "Silva", "+351 5")
    invoice = {"title": "Tea", "description": "green", "currency": "EUR", "amount": 450}
    media = media_of(save(chat(message(1, invoice_information=invoice)), "invoice"))
    assert (media.title, media.description, media.currency, media.total_amount) == ("Tea", "green", "EUR", 450)


@pytest.mark.parametrize("fields", [{"media_type": "hologram"}, {"todo_list": {"title": "T"}}])
def test_unknown_media_are_told_as_unsupported(save: Save, fields: dict[str, Any]) -> None:
    assert isinstance(media_of(save(chat(message(1, **fields)))), tl.MessageMediaUnsupported)


def served_with_files(path: Path) -> tuple[Overlay, list[int]]:
    """A chat, and the ids of its files."""
    served = load_export(path)[0]
    ids = []
    for sent in served.messages(0, 9, inf):
        holder = sent.media or sent.action
        ids.append((getattr(holder, "photo", None) or holder.document).id)
    return served, ids


def test_exported_files_are_served_with_their_true_size(save: Save) -> None:
    path = save(
        chat(
            message(1, photo="photos/p.jpg", photo_file_size=1),
            message(2, file="files/f.bin", file_size=1),
            service(3, "edit_group_photo", photo="photos/p.jpg"),
            message(4, file=NOT_INCLUDED, file_size=9),
        )
    )
    for name, content in (("photos/p.jpg", b"picture"), ("files/f.bin", b"document")):
        (path / name).parent.mkdir()
        (path / name).write_bytes(content)
    served, ids = served_with_files(path)
    assert len(set(ids)) == 4
    assert [served.file(file_id) for file_id in ids] == [b"picture", b"document", b"picture", None]
    photo, document, _, _ = served.messages(0, 9, inf)
    assert (photo.media.photo.sizes[0].size, document.media.document.size) == (7, 8)
    assert served.file(ids[0] ^ 1 << 40) is None
    assert served.file(ids[0] + 99) is None


def test_nothing_outside_the_export_is_served(save: Save, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    path = save(chat(message(1, file="../secret.txt"), message(2, file=str(tmp_path / "secret.txt"))))
    (path / "link.txt").symlink_to(tmp_path / "secret.txt")
    served, ids = served_with_files(path)
    assert [served.file(file_id) for file_id in ids] == [None, None]
