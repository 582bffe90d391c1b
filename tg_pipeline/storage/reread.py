"""One message read twice: what the archive keeps of both reads, and whether somebody edited it in between.

What a person wrote or sent is content, and a change of it is an edit. What Telegram changes by itself (counters,
previews, stock, positions, visibility) is taken over and is none. What was known and is absent from the new read is
kept: the wire leaves out what the reading account may no longer see. `docs/day-file.md` lists which field is what.
"""

from typing import Any, NamedTuple

LIFE = frozenset({"edited", "edit_date", "deleted", "deleted_at"})
"""What is known from comparing reads, or follows the wire's own rule."""
LAST_SEEN = frozenset({"reactions", "pinned"})
"""Of these the new read alone counts: absent says that there is none."""
_THREAD = frozenset({"reply_to", "reply_to_chat", "thread_id", "topic"})
_OWN_RULE = LIFE | LAST_SEEN | _THREAD | {"text", "entities", "from_id", "media", "wire"}

CONTENT_OF_MEDIA: dict[str, tuple[str, ...]] = {
    "poll": ("id", "question", "answers"),
    "to_do": ("title", "items"),
    "geo": ("latitude", "longitude"),
    "venue": ("title", "address", "latitude", "longitude"),
    "contact": ("phone_number", "first_name", "last_name", "vcard"),
    "dice": ("emoticon",),
    "game": ("id",),
    "invoice": ("title", "description", "currency", "total_amount"),
    "story": ("id", "peer"),
    "geo_live": (),
    "paid_media": ("stars_amount",),
    "giveaway": ("channels", "quantity", "until_date", "prize_description", "months", "stars"),
}
"""By type of media, what a person put in it. Of a file it is which file."""
_FILES = frozenset({"document", "photo", "video", "video_note", "voice", "audio", "sticker", "animation"})
_MOVING = frozenset({"video", "animation", "video_note"})
_PREVIEW = "web_page"
_GONE = frozenset({"unsupported", "empty"})
"""Types that say only that there is something."""
_GONE_OBJECTS = frozenset({
    "message_extended_media_preview", "message_media_unsupported", "message_media_empty", "photo_empty",
    "document_empty", "web_page_empty", "web_page_pending", "story_item_deleted", "story_item_skipped",
})  # fmt: skip
_NOT_READ = frozenset({"unreadable", "message_empty"})
"""Types of a message of which nothing is known but that it is there."""
_CLEARED = frozenset({"history_clear", "empty"})
_AUTHORED = frozenset({"reply_markup", "rich_message"})
"""Parts of `wire` that an edit of the message replaces as a whole."""
_EDITABLE = _AUTHORED | {"invert_media"}
"""Parts of `wire` that an edit may change."""

Fields = dict[str, Any]


def reread(old: Fields, new: Fields) -> tuple[Fields, bool]:
    """The message that two reads make, `new` the later one, and whether its content changed. Changes neither."""
    if _says_nothing(new):
        return old, False
    if old.get("type") in _NOT_READ:
        return new, False
    since = new["edit_date"] is not None and new["edit_date"] != old["edit_date"]
    known = not _says_nothing(old)
    same_date = not since and _hidden_date(new) in {None, _hidden_date(old)}
    # Who edits a message to be empty leaves a date; Telegram empties one that it withholds without any.
    withheld = same_date and bool(old["text"]) and not new["text"]
    lifted = same_date and _is_unsupported(old) and _has_content(new)
    if _is_restricted(old) or _is_restricted(new):
        known = known and not _is_withheld(old)
        withheld |= _is_restricted(new) and (same_date or _is_withheld(new))
        lifted |= same_date and not _is_restricted(new)
    if withheld:
        since, new = False, _with_content_of(old, new)
    media = _media(old.get("media"), new.get("media"), _is_pending(old), since=since)
    changed = known and not withheld and not lifted and (_text_differs(old, new) or media.changed)
    edited = new["edited"] and not (known and _is_unaltered(old, new, media))
    message = new | {
        "edited": changed or old["edited"] or edited,
        "edit_date": new["edit_date"] or old["edit_date"],
        "from_id": _author(old["from_id"], new["from_id"]),
    }
    for key, value in old.items():
        if value is not None and value != message.get(key) and key not in _OWN_RULE:
            message[key] = _newest(value, new.get(key))
    if _same_thread(old, new):
        message |= {key: old[key] for key in _THREAD if old.get(key) is not None and new.get(key) is None}
    if media.joined is not None:
        message["media"] = media.joined
    if "wire" in old or "wire" in new:
        wire = _wire(old.get("wire") or {}, new.get("wire") or {}, message, since=since, replaced=media.replaced)
        message |= {"wire": wire} if wire else {}
    return message, changed


def _says_nothing(message: Fields) -> bool:
    """Whether all that is left of the message is its place: unreadable, or cleared from the account's history."""
    action = message.get("action")
    return message.get("type") in _NOT_READ or (action is not None and action["type"] in _CLEARED)


def _is_pending(message: Fields) -> bool:
    """Whether Telegram was still converting its video."""
    return bool((message.get("wire") or {}).get("video_processing_pending"))


def _hidden_date(message: Fields) -> Any:
    """The `edit_date` that Telegram does not show."""
    return (message.get("wire") or {}).get("edit_date")


def _is_restricted(message: Fields) -> bool:
    wire = message.get("wire")
    return wire is not None and "restriction_reason" in wire


def _is_withheld(message: Fields) -> bool:
    """Whether Telegram shows its notice, or nothing, in place of what a person wrote."""
    reasons = (message.get("wire") or {}).get("restriction_reason")
    if not reasons:
        return False
    text = message["text"]
    return any(reason.get("text") == text for reason in reasons) if text else not _has_content(message)


def _is_unsupported(message: Fields) -> bool:
    """Whether all that was read of the message is that something was sent."""
    return message.get("media") is not None and not _has_content(message)


def _has_content(message: Fields) -> bool:
    media = message.get("media")
    return bool(message["text"]) or (media is not None and media["type"] not in _GONE)


def _with_content_of(old: Fields, new: Fields) -> Fields:
    """The new read, with what a person wrote and sent as the old one has it, unless that was withheld too."""
    if not _has_content(old) or _is_withheld(old):
        return new
    known = old.get("media")
    media = _media(known, new.get("media"), _is_pending(old), since=False)
    keeps_file = known is not None and known["type"] not in _GONE and (media.changed or media.replaced)
    hidden = {key for key in _AUTHORED if key in (old.get("wire") or {})} | ({"media"} if keeps_file else set())
    wire = {key: value for key, value in (new.get("wire") or {}).items() if key not in hidden}
    message = new | {"text": old["text"], "entities": old["entities"]}
    message |= {"wire": wire} if "wire" in new else {}
    return message | {"media": known} if keeps_file else message


def _is_unaltered(old: Fields, new: Fields, media: "_Media") -> bool:
    """Whether all that an editor can change is the same in both. Then a newer `edit_date` came with a reaction."""
    before, after = old.get("wire") or {}, new.get("wire") or {}
    return (
        old["text"] == new["text"]
        and _same_entities(old["entities"], new["entities"])
        and not media.changed
        and not media.replaced
        and all(before.get(key) == after.get(key) for key in _EDITABLE)
        and _same_content(old.get("media"), new.get("media"))
    )


def _same_content(old: Fields | None, new: Fields | None) -> bool:
    """Whether media of which neither is another says the same in all that its editor can change."""
    if old == new or old is None or new is None or new["type"] in _GONE or new["type"] == _PREVIEW:
        return True
    if new["type"] in _FILES:
        return new.get("id") is None or old.get("spoiler") == new.get("spoiler")
    keys = CONTENT_OF_MEDIA.get(new["type"])
    return keys is not None and all(old.get(key) == new.get(key) for key in keys)


def _text_differs(old: Fields, new: Fields) -> bool:
    if old["text"] == new["text"]:
        return not _same_entities(old["entities"], new["entities"])
    return bool(old["text"]) or not _is_rich(new) or _is_rich(old)


def _is_rich(message: Fields) -> bool:
    """Whether the text was made of a rich message. Before schema 1.1.0 such a message was read without its text."""
    return "rich_message" in (message.get("wire") or {})


def _same_entities(old: list[Fields], new: list[Fields]) -> bool:
    """Whether both format alike. A field of an entity that only the new read has was not read before."""
    if old == new:
        return True
    return len(old) == len(new) and all(
        all(after.get(key) == value for key, value in before.items() if value is not None)
        for before, after in zip(old, new, strict=True)
    )


def _author(old: int | None, new: int | None) -> int | None:
    """A person stays the author where a later read names only the chat, or nobody."""
    return old if new is None or (old is not None and old > 0) else new


def _same_thread(old: Fields, new: Fields) -> bool:
    """Whether what is known of the thread still goes with what the new read says of it."""
    answered = new.get("reply_to")
    return old.get("reply_to") == answered or (answered is None and new.get("reply_to_chat") is None)


class _Media(NamedTuple):
    joined: Fields | None
    changed: bool
    replaced: bool


def _media(old: Fields | None, new: Fields | None, pending: bool, *, since: bool) -> _Media:  # noqa: FBT001 - of the pair
    """What was attached, and whether a person attached something else."""
    if old == new:
        return _Media(new, changed=False, replaced=False)
    if old is None or new is None or new["type"] == old["type"] == _PREVIEW:
        return _media_or_none(old, new, since=since)
    if new["type"] in _GONE:
        gone = {} if old["type"] in _GONE else {new["type"]: True}
        return _Media(old | gone, changed=False, replaced=False)
    if old["type"] in _GONE:
        return _Media(new, changed=False, replaced=True)
    if {old["type"], new["type"]} <= _FILES:
        return _file(old, new, pending, since=since)
    if old["type"] != new["type"]:
        return _Media(new, changed=True, replaced=True)
    known = [key for key in CONTENT_OF_MEDIA.get(new["type"], ()) if old.get(key) is not None]
    changed = any(new.get(key) is not None and new[key] != old[key] for key in known)
    return _Media(_newest(old, new), changed=changed, replaced=False)


def _media_or_none(old: Fields | None, new: Fields | None, *, since: bool) -> _Media:
    """Where one read has none, or both have the preview of a page, which Telegram makes of the text."""
    if old is not None and new is not None:
        other_page = None not in {old.get("url"), new.get("url")} and old["url"] != new["url"]
        return _Media(new if other_page else _newest(old, new), changed=False, replaced=other_page)
    if new is not None:
        return _Media(new, changed=new["type"] != _PREVIEW, replaced=False)
    if old is not None and since:
        return _Media(None, changed=old["type"] != _PREVIEW, replaced=True)
    return _Media(old, changed=False, replaced=False)


def _file(old: Fields, new: Fields, pending: bool, *, since: bool) -> _Media:  # noqa: FBT001 - of the pair
    """Two files. Without its id a file has expired; another id is another file, or the same video converted again."""
    if new.get("id") is None:
        return _Media(old | new | {"type": old["type"]}, changed=False, replaced=False)
    if old.get("id") in {None, new["id"]}:
        return _Media(_newest(old, new), changed=False, replaced=False)
    same_length = round(old.get("duration") or 0) == round(new.get("duration") or 0) != 0
    if not since and {old["type"], new["type"]} <= _MOVING and (pending or same_length):
        return _Media(_newest(old, new), changed=False, replaced=True)
    return _Media(new, changed=True, replaced=True)


def _wire(old: Fields, new: Fields, message: Fields, *, since: bool, replaced: bool) -> Fields:
    wire = dict(new)
    for key, value in old.items():
        given_up = (
            (key == "media" and replaced)
            or key == "reactions"
            or (key == "edit_date" and message["edited"] and message["edit_date"] is not None)
            or (key in _AUTHORED and (since or key in new))
        )
        if not given_up and not isinstance(value, bool):
            wire[key] = _newest(value, new.get(key))
    return wire


def _newest(old: Any, new: Any) -> Any:
    """The new value, with what only the old one knows. A flag that is absent is not set, which is known too."""
    if new is None:
        return old
    if isinstance(old, dict) and isinstance(new, dict):
        if new.get("_", new.get("type")) != old.get("_", old.get("type")):
            return old if new.get("_") in _GONE_OBJECTS else new
        if old.get("id") is not None and new.get("id") not in {None, old["id"]} and "_" in new:
            return new
        kept = {key: _newest(value, new.get(key)) for key, value in old.items() if _is_worth_keeping(value)}
        return new | {key: value for key, value in kept.items() if value is not None}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [_newest(before, after) for before, after in zip(old, new, strict=True)]
    return new


def _is_worth_keeping(value: Any) -> bool:
    return value is not None and not isinstance(value, bool)
