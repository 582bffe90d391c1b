"""What a message carries besides text, summarised: what it is, what people wrote in it and how to fetch it; no bytes.

Nothing volatile enters a summary (file references expire, so they are left out): reading the same message twice gives
the same summary. What a summary does not say is in `media_rest`; what it says, SAYS lists. A kind without a summary is
kept whole under its own field names.
"""

from collections.abc import Callable
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.telegram.plain import SAYS, fields_of, marked_id, plain, rest, snake


def media_summary(media: Any) -> dict[str, Any]:
    """A dict with `type` and what distinguishes one such thing from another."""
    describe = _KINDS.get(type(media))
    if describe is None:
        return {"type": snake(type(media).__name__.removeprefix("MessageMedia"))} | fields_of(media)
    return {key: value for key, value in describe(media).items() if value is not None}


def media_rest(media: Any) -> dict[str, Any] | None:
    """What the summary leaves out, under the wire's own names; None where that is nothing."""
    return rest(media) if type(media) in _KINDS else None


def _photo(media: Any) -> dict[str, Any]:
    photo = media.photo
    found = {"type": "photo", "spoiler": media.spoiler or None, "ttl_seconds": media.ttl_seconds}
    if not isinstance(photo, tl.Photo):
        return found | _missing(media, photo)
    sizes = [s for s in photo.sizes if isinstance(s, tl.PhotoSize | tl.PhotoSizeProgressive)]
    largest = max(sizes, key=lambda s: s.w * s.h, default=None)
    return {
        "type": "photo",
        "id": photo.id,
        "date": plain(photo.date),
        "width": largest.w if largest else None,
        "height": largest.h if largest else None,
    } | found


def _document(media: Any) -> dict[str, Any]:
    document = media.document
    kind = "video_note" if media.round else "voice" if media.voice else "video" if media.video else "document"
    found: dict[str, Any] = {"type": kind, "spoiler": media.spoiler or None, "ttl_seconds": media.ttl_seconds}
    if not isinstance(document, tl.Document):
        return found | _missing(media, document)
    found |= {
        "id": document.id,
        "date": plain(document.date),
        "mime_type": document.mime_type,
        "size": document.size,
    }
    for attribute in document.attributes:
        found |= _attribute(attribute)
    return found


def _missing(media: Any, empty: Any) -> dict[str, Any]:
    """A file that Telegram no longer gives: what is left of it, and whether its time is up."""
    return {"id": getattr(empty, "id", None), "expired": True if media.ttl_seconds is not None else None}


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
            return {"type": "sticker", "emoji": attribute.alt, "sticker_set": getattr(attribute.stickerset, "id", None)}
        case tl.DocumentAttributeAnimated():
            return {"type": "animation"}
        case tl.DocumentAttributeImageSize():
            return {"width": attribute.w, "height": attribute.h}
        case _:
            return {}


def _webpage(media: Any) -> dict[str, Any]:
    page = media.webpage
    found = {"type": "web_page", "url": getattr(page, "url", None)}
    if isinstance(page, tl.WebPage):
        found |= {"site_name": page.site_name, "title": page.title, "description": page.description}
    return found


def _poll(media: Any) -> dict[str, Any]:
    poll, results = media.poll, media.results
    voters = {plain(answer.option): answer for answer in results.results or ()}
    counts = {option: answer.voters for option, answer in voters.items() if answer.voters is not None}
    return {
        "type": "poll",
        "id": poll.id,
        "question": poll.question.text,
        "answers": [answer.text.text for answer in poll.answers],
        "options": [plain(getattr(answer, "option", None)) for answer in poll.answers],
        "quiz": poll.quiz or None,
        "multiple_choice": poll.multiple_choice or None,
        "closed": poll.closed or None,
        "votes": counts or None,
        "correct": [option for option, answer in voters.items() if answer.correct] or None,
        "total_voters": results.total_voters,
        "solution": results.solution,
    }


def _to_do(media: Any) -> dict[str, Any]:
    completions = [
        {"id": done.id, "by": marked_id(done.completed_by), "date": plain(done.date)}
        for done in media.completions or ()
    ]
    return {
        "type": "to_do",
        "title": media.todo.title.text,
        "items": [{"id": item.id, "title": item.title.text} for item in media.todo.list],
        "completions": completions or None,
    }


def _point(media: Any) -> dict[str, Any]:
    geo = media.geo
    if not isinstance(geo, tl.GeoPoint):
        return {}
    return {"latitude": geo.lat, "longitude": geo.long, "accuracy_radius": geo.accuracy_radius}


def _contact(media: Any) -> dict[str, Any]:
    return {
        "type": "contact",
        "user_id": media.user_id or None,
        "phone_number": media.phone_number,
        "first_name": media.first_name,
        "last_name": media.last_name,
        "vcard": media.vcard or None,
    }


def _venue(media: Any) -> dict[str, Any]:
    named = {"title": media.title, "address": media.address, "provider": media.provider}
    return {"type": "venue"} | named | {"venue_id": media.venue_id, "venue_type": media.venue_type} | _point(media)


def _geo_live(media: Any) -> dict[str, Any]:
    return {"type": "geo_live", "period": media.period, "heading": media.heading} | _point(media)


def _invoice(media: Any) -> dict[str, Any]:
    price = {"currency": media.currency, "total_amount": media.total_amount}
    return {"type": "invoice", "title": media.title, "description": media.description} | price


def _game(media: Any) -> dict[str, Any]:
    game = media.game
    return {"type": "game", "id": game.id, "title": game.title, "description": game.description}


_KINDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    tl.MessageMediaPhoto: _photo,
    tl.MessageMediaDocument: _document,
    tl.MessageMediaWebPage: _webpage,
    tl.MessageMediaPoll: _poll,
    tl.MessageMediaToDo: _to_do,
    tl.MessageMediaGeo: lambda m: {"type": "geo"} | _point(m),
    tl.MessageMediaGeoLive: _geo_live,
    tl.MessageMediaVenue: _venue,
    tl.MessageMediaContact: _contact,
    tl.MessageMediaDice: lambda m: {"type": "dice", "emoticon": m.emoticon, "value": m.value},
    tl.MessageMediaGame: _game,
    tl.MessageMediaInvoice: _invoice,
    tl.MessageMediaStory: lambda m: {"type": "story", "id": m.id, "peer": marked_id(m.peer)},
}

SAYS |= {
    tl.MessageMediaPhoto: ("spoiler", "ttl_seconds", "photo."),
    tl.Photo: ("id", "date"),
    tl.PhotoEmpty: ("id",),
    tl.MessageMediaDocument: ("spoiler", "ttl_seconds", "video", "round", "voice", "document."),
    tl.Document: ("id", "date", "mime_type", "size", "attributes."),
    tl.DocumentEmpty: ("id",),
    tl.DocumentAttributeFilename: ("file_name",),
    tl.DocumentAttributeVideo: ("round_message", "duration", "w", "h"),
    tl.DocumentAttributeAudio: ("voice", "duration", "title", "performer"),
    tl.DocumentAttributeSticker: ("alt", "stickerset."),
    tl.InputStickerSetID: ("id",),
    tl.InputStickerSetEmpty: (),
    tl.DocumentAttributeAnimated: (),
    tl.DocumentAttributeImageSize: ("w", "h"),
    tl.MessageMediaWebPage: ("webpage.",),
    tl.WebPage: ("url", "site_name", "title", "description"),
    tl.WebPageEmpty: ("url",),
    tl.WebPagePending: ("url",),
    tl.MessageMediaPoll: ("poll.", "results."),
    tl.Poll: ("id", "question.", "answers.", "quiz", "multiple_choice", "closed"),
    tl.PollAnswer: ("text.", "option"),
    tl.PollResults: ("results.", "total_voters", "solution"),
    tl.PollAnswerVoters: ("option", "voters", "correct"),
    tl.TextWithEntities: ("text",),
    tl.MessageMediaToDo: ("todo.", "completions"),
    tl.TodoList: ("title.", "list."),
    tl.TodoItem: ("id", "title."),
    tl.MessageMediaGeo: ("geo.",),
    tl.MessageMediaGeoLive: ("geo.", "period", "heading"),
    tl.MessageMediaVenue: ("geo.", "title", "address", "provider", "venue_id", "venue_type"),
    tl.GeoPoint: ("lat", "long", "accuracy_radius"),
    tl.GeoPointEmpty: (),
    tl.MessageMediaContact: ("phone_number", "first_name", "last_name", "vcard", "user_id"),
    tl.MessageMediaDice: ("emoticon", "value"),
    tl.MessageMediaGame: ("game.",),
    tl.Game: ("id", "title", "description"),
    tl.MessageMediaInvoice: ("title", "description", "currency", "total_amount"),
    tl.MessageMediaStory: ("id", "peer"),
}
