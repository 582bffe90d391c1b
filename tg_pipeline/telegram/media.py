"""What a message carries besides text, summarised: enough to know what it was and to fetch it later, never its bytes.

Nothing volatile enters a summary (file references expire, so they are left out): reading the same message twice gives
the same summary.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

from tg_pipeline.contracts.days import utc_text

_VOLATILE = {"file_reference", "access_hash", "stripped_thumb"}
_MAX_TEXT = 4096


def media_summary(media: Any) -> dict[str, Any]:
    """A dict with `type` and what tells one such thing from another. An unknown kind keeps its type name."""
    describe = _KINDS.get(type(media))
    if describe is None:
        return {"type": _snake(type(media).__name__.removeprefix("MessageMedia"))}
    return {key: value for key, value in describe(media).items() if value is not None}


def plain(value: Any) -> Any:
    """A TL value as JSON: objects as dicts with their type name under `_`, times as UTC text, bytes as hex."""
    match value:
        case TLObject():
            fields = {k: plain(v) for k, v in vars(value).items() if v is not None and k not in _VOLATILE}
            return {"_": _snake(type(value).__name__)} | fields
        case datetime():
            return utc_text(int(value.timestamp()))
        case bytes():
            return value.hex()
        case list():
            return [plain(v) for v in value]
        case _:
            return value


def _photo(media: Any) -> dict[str, Any]:
    photo = media.photo
    if not isinstance(photo, tl.Photo):
        return {"type": "photo"}
    sizes = [s for s in photo.sizes if isinstance(s, tl.PhotoSize | tl.PhotoSizeProgressive)]
    largest = max(sizes, key=lambda s: s.w * s.h, default=None)
    return {
        "type": "photo",
        "id": photo.id,
        "date": plain(photo.date),
        "width": largest.w if largest else None,
        "height": largest.h if largest else None,
        "spoiler": media.spoiler,
    }


def _document(media: Any) -> dict[str, Any]:
    document = media.document
    if not isinstance(document, tl.Document):
        return {"type": "document"}
    found: dict[str, Any] = {
        "type": "document",
        "id": document.id,
        "mime_type": document.mime_type,
        "size": document.size,
        "spoiler": media.spoiler,
    }
    for attribute in document.attributes:
        found |= _attribute(attribute)
    return found


def _attribute(attribute: Any) -> dict[str, Any]:
    match attribute:
        case tl.DocumentAttributeFilename():
            return {"file_name": attribute.file_name}
        case tl.DocumentAttributeVideo():
            kind = "video_note" if attribute.round_message else "video"
            return {"type": kind, "duration": attribute.duration, "width": attribute.w, "height": attribute.h}
        case tl.DocumentAttributeAudio():
            found = {"type": "voice" if attribute.voice else "audio", "duration": attribute.duration}
            return found | {"title": attribute.title, "performer": attribute.performer}
        case tl.DocumentAttributeSticker():
            return {"type": "sticker", "emoji": attribute.alt}
        case tl.DocumentAttributeAnimated():
            return {"type": "animation"}
        case tl.DocumentAttributeImageSize():
            return {"width": attribute.w, "height": attribute.h}
        case _:
            return {}


def _webpage(media: Any) -> dict[str, Any]:
    page = media.webpage
    if not isinstance(page, tl.WebPage):
        return {"type": "web_page", "url": getattr(page, "url", None)}
    return {"type": "web_page", "url": page.url, "site_name": page.site_name, "title": page.title}


def _poll(media: Any) -> dict[str, Any]:
    poll = media.poll
    return {
        "type": "poll",
        "id": poll.id,
        "question": _text(poll.question),
        "answers": [_text(a.text) for a in poll.answers],
        "quiz": poll.quiz,
    }


def _point(media: Any) -> dict[str, Any]:
    geo = media.geo
    return {"latitude": geo.lat, "longitude": geo.long} if isinstance(geo, tl.GeoPoint) else {}


def _contact(media: Any) -> dict[str, Any]:
    return {"type": "contact", "user_id": media.user_id or None}


def _text(value: Any) -> str:
    return str(getattr(value, "text", value))[:_MAX_TEXT]


_KINDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    tl.MessageMediaPhoto: _photo,
    tl.MessageMediaDocument: _document,
    tl.MessageMediaWebPage: _webpage,
    tl.MessageMediaPoll: _poll,
    tl.MessageMediaGeo: lambda m: {"type": "geo"} | _point(m),
    tl.MessageMediaGeoLive: lambda m: {"type": "geo_live", "period": m.period} | _point(m),
    tl.MessageMediaVenue: lambda m: {"type": "venue", "title": m.title, "address": m.address} | _point(m),
    tl.MessageMediaContact: _contact,
    tl.MessageMediaDice: lambda m: {"type": "dice", "emoticon": m.emoticon, "value": m.value},
    tl.MessageMediaGame: lambda m: {"type": "game", "id": m.game.id, "title": m.game.title},
    tl.MessageMediaInvoice: lambda m: {"type": "invoice", "title": m.title, "currency": m.currency},
    tl.MessageMediaStory: lambda m: {"type": "story", "id": m.id},
}


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and n else c.lower() for n, c in enumerate(name))
