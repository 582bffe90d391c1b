"""Attachments of exported messages. Files that were exported too are served; the others are only described."""

from pathlib import Path
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.exports.fields import INT32, Fields, number, objects, string
from tg_pipeline.simulator.worlds.media import DC_ID, poll

_INT64 = 1 << 63
_MOST_ANSWERS = 100


class Attachments:
    """Makes the media of a chat's messages. A file's id is `lane | index of the message`."""

    def __init__(self, folder: Path, lane: int) -> None:
        """`folder` is that of result.json; `lane` fills the upper 32 bits of the chat's file ids."""
        self._folder = folder.resolve()
        self._lane = lane

    def media(self, index: int, message: Fields, date: Any) -> tl.TypeMessageMedia | None:
        """The media of the message at `index` of the chat; None where there is none."""
        ttl = number(message, "self_destruct_period_seconds") or None
        if "photo" in message:
            return tl.MessageMediaPhoto(photo=self._photo(index, message, date), ttl_seconds=ttl)
        if "file" in message:
            return self._document(index, message, date, ttl)
        for key, make in _OTHERS.items():
            if isinstance(message.get(key), dict):
                return make(index, message)
        is_odd = message.get("type") != "message" and not message.get("text")
        return tl.MessageMediaUnsupported() if is_odd or any(key in message for key in _UNSERVED) else None

    def photo_of_action(self, index: int, message: Fields, date: Any) -> tl.TypePhoto:
        """The new picture of a group."""
        return self._photo(index, message, date)

    def index(self, file_id: int) -> int | None:
        """The index of the message that would hold that file."""
        return file_id & 0xFFFF_FFFF if file_id >> 32 << 32 == self._lane else None

    def content(self, message: Fields) -> bytes | None:
        """The bytes of a message's file, if it was exported."""
        path = self._path(message.get("photo") or message.get("file"))
        return path.read_bytes() if path else None

    def _path(self, name: Any) -> Path | None:
        if not isinstance(name, str):
            return None
        try:
            path = (self._folder / name).resolve()
            return path if path.is_relative_to(self._folder) and path.is_file() else None
        except (OSError, ValueError):  # no name that a file can have: too long, or with a zero byte
            return None

    def _size(self, message: Fields, key: str, below: int) -> int:
        path = self._path(message.get(key))
        if path:
            return min(path.stat().st_size, below - 1)
        return number(message, f"{key}_file_size", below) or number(message, "file_size", below)

    def _photo(self, index: int, message: Fields, date: Any) -> tl.Photo:
        size = tl.PhotoSize(
            type="x", w=number(message, "width"), h=number(message, "height"), size=self._size(message, "photo", INT32)
        )
        file_id = self._lane | index
        return tl.Photo(id=file_id, access_hash=0, file_reference=b"", date=date, sizes=[size], dc_id=DC_ID)

    def _document(self, index: int, message: Fields, date: Any, ttl: int | None) -> tl.MessageMediaDocument:
        kind = message.get("media_type")
        return tl.MessageMediaDocument(
            document=tl.Document(
                id=self._lane | index,
                access_hash=0,
                file_reference=b"",
                date=date,
                mime_type=string(message, "mime_type") or "application/octet-stream",
                size=self._size(message, "file", _INT64),
                dc_id=DC_ID,
                attributes=_attributes(message, kind),
            ),
            voice=kind == "voice_message" or None,
            round=kind == "video_message" or None,
            video=kind in ("video_file", "video_message") or None,
            ttl_seconds=ttl,
        )


def _attributes(message: Fields, kind: Any) -> list[tl.TypeDocumentAttribute]:
    name = string(message, "file_name") or Path(string(message, "file")).name
    found: list[tl.TypeDocumentAttribute] = [tl.DocumentAttributeFilename(name)]
    width, height, seconds = (number(message, key) for key in ("width", "height", "duration_seconds"))
    if kind == "sticker":
        sticker = tl.DocumentAttributeSticker(
            alt=string(message, "sticker_emoji"), stickerset=tl.InputStickerSetEmpty()
        )
        found += [sticker, tl.DocumentAttributeImageSize(width, height)]
    if kind == "animation":
        found.append(tl.DocumentAttributeAnimated())
    if kind in ("animation", "video_file", "video_message"):
        round_message = kind == "video_message" or None
        found.append(tl.DocumentAttributeVideo(duration=float(seconds), w=width, h=height, round_message=round_message))
    if kind in ("audio_file", "voice_message"):
        title, performer = (string(message, key) or None for key in ("title", "performer"))
        voice = kind == "voice_message" or None
        found.append(tl.DocumentAttributeAudio(duration=seconds, voice=voice, title=title, performer=performer))
    return found


def _poll(index: int, message: Fields) -> tl.TypeMessageMedia:
    exported = message["poll"]
    answers = objects(exported, "answers")[:_MOST_ANSWERS]
    media = poll(
        index,
        string(exported, "question"),
        [string(answer, "text") for answer in answers],
        [number(answer, "voters") for answer in answers],
        closed=bool(exported.get("closed")),
    )
    media.results.total_voters = number(exported, "total_voters")
    return media


def _location(index: int, message: Fields) -> tl.TypeMessageMedia:  # noqa: ARG001
    place = message["location_information"]
    point = tl.GeoPoint(long=_degrees(place, "longitude"), lat=_degrees(place, "latitude"), access_hash=0)
    if "live_location_period_seconds" in message:
        return tl.MessageMediaGeoLive(geo=point, period=number(message, "live_location_period_seconds"))
    if "place_name" not in message:
        return tl.MessageMediaGeo(geo=point)
    title, address = string(message, "place_name"), string(message, "address")
    return tl.MessageMediaVenue(geo=point, title=title, address=address, provider="", venue_id="", venue_type="")


def _degrees(place: Fields, key: str) -> float:
    value = place.get(key)
    return float(value) if isinstance(value, int | float) and abs(value) <= 180 else 0.0


def _contact(index: int, message: Fields) -> tl.TypeMessageMedia:  # noqa: ARG001
    first, last, phone = (
        string(message["contact_information"], key) for key in ("first_name", "last_name", "phone_number")
    )
    return tl.MessageMediaContact(phone_number=phone, first_name=first, last_name=last, vcard="", user_id=0)


def _invoice(index: int, message: Fields) -> tl.TypeMessageMedia:  # noqa: ARG001
    invoice = message["invoice_information"]
    title, description, currency = (string(invoice, key) for key in ("title", "description", "currency"))
    return tl.MessageMediaInvoice(
        title=title,
        description=description,
        currency=currency,
        total_amount=number(invoice, "amount"),
        start_param="",
    )


_OTHERS = {
    "poll": _poll,
    "location_information": _location,
    "contact_information": _contact,
    "invoice_information": _invoice,
}
_UNSERVED = (*_OTHERS, "media_type", "todo_list", "giveaway_information", "giveaway_results", "paid_stars_amount")
"""Fields of media that have no counterpart here, or that hold something else than they should."""
