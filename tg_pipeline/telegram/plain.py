"""TL objects as JSON: whole (`plain`), or only what a summary does not say already (`rest`).

Everything is kept except what LEFT_OUT names with its reason, so that a field which a newer Telegram layer adds is kept
without a change here. Nothing that changes from one reading to the next is kept, and no bytes of files or thumbnails.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

from tg_pipeline.contracts.days import utc_text

CHANNEL_MARK = 1_000_000_000_000

_KEY = "a key or an address of Telegram's servers for the reading account; it expires or differs by account"
_OWN = "the state of the reading account, not of the message"
_COPY = "thumbnails and smaller sizes of the same picture, which Telegram makes again at any time"
_CACHE = "helps a client to cache or to synchronise; says nothing about the message"
_CHAT = "follows from the chat, which the header names"
_PLAYER = "helps a player to load the file"

LEFT_OUT: Mapping[str, str] = {
    "access_hash": _KEY,
    "file_reference": _KEY,
    "dc_id": _KEY,
    "stripped_thumb": _COPY,
    "Photo.sizes": _COPY + "; the width and height of the largest are kept",
    "Photo.video_sizes": _COPY,
    "Document.thumbs": _COPY,
    "Document.video_thumbs": _COPY,
    "MessageExtendedMediaPreview.thumb": _COPY,
    "DocumentAttributeAudio.waveform": "a drawing of the sound, made of the file",
    "DocumentAttributeVideo.supports_streaming": _PLAYER,
    "DocumentAttributeVideo.preload_prefix_size": _PLAYER,
    "WebPage.cached_page": "Telegram's rendering of the linked page, which may be hundreds of kilobytes",
    "WebPage.hash": _CACHE,
    "WebPagePending.date": _CACHE,
    "WebPageNotModified.cached_page_views": _CACHE,
    "Poll.hash": _CACHE,
    "FactCheck.hash": _CACHE,
    "FactCheck.need_check": _CACHE,
    "MessageReplies.replies_pts": _CACHE,
    "Message.peer_id": _CHAT,
    "Message.post": _CHAT + ": all messages of a broadcast channel are posts",
    "Message.reactions_are_possible": _CHAT,
    "MessageReplies.comments": "set where, and only where, `channel_id` is",
    "Message.out": _OWN + "; where it names the author, `from_id` does too",
    "Message.mentioned": _OWN,
    "Message.media_unread": _OWN,
    "MessageReplies.read_max_id": _OWN,
    "MessageReactions.min": _OWN,
    "MessageReactions.can_see_list": _OWN,
    "MessagePeerReaction.unread": _OWN,
    "MessagePeerReaction.my": _OWN,
    "MessageReactor.my": _OWN,
    "ReactionCount.chosen_order": _OWN,
    "Poll.creator": _OWN,
    "PollResults.min": _OWN,
    "PollResults.has_unread_votes": _OWN,
    "PollResults.can_view_stats": _OWN,
    "PollAnswerVoters.chosen": _OWN,
    "StoryItem.out": _OWN,
    "StoryItem.min": _OWN,
    "StoryItem.sent_reaction": _OWN,
}
"""What is not kept, and why: a field of any type, or `Type.field`. `Message` stands for service messages too."""

FALSE_SAYS_SOMETHING = frozenset({
    "ButtonTypeRequestPoll.quiz",
    "MessageActionTopicEdit.closed",
    "MessageActionTopicEdit.hidden",
    "RequestPeerTypeBroadcast.has_username",
    "RequestPeerTypeChat.forum",
    "RequestPeerTypeChat.has_username",
    "RequestPeerTypeUser.bot",
    "RequestPeerTypeUser.premium",
})  # fmt: skip
"""Optional fields of which false is a value of its own. In any other optional field it means that a flag is not set."""

SAYS: dict[type, tuple[str, ...]] = {}
"""What a summary says of each type: fields it says wholly, and `field.` for one it says in part. See `rest`."""


_JSON = frozenset({str, int, bool, float, type(None)})


@cache
def snake(name: str) -> str:
    """`ChatAddUser` as `chat_add_user`."""
    return "".join(f"_{c.lower()}" if c.isupper() and n else c.lower() for n, c in enumerate(name))


def marked_id(peer: Any) -> int | None:
    """A TL peer as a marked id: users positive, basic groups -id, channels -100id."""
    if peer is None:
        return None
    kind = type(peer)
    if kind is tl.PeerUser:
        return int(peer.user_id)
    if kind is tl.PeerChannel:
        return -(CHANNEL_MARK + int(peer.channel_id))
    return -int(peer.chat_id)


def plain(value: Any) -> Any:
    """A TL value as JSON: objects as dicts with their type name under `_`, times as UTC text, bytes as hex.

    Fields without a value, flags that are not set and empty lists are absent.
    """
    kind = type(value)
    if kind in _JSON:
        return value
    match value:
        case TLObject():
            return {"_": snake(kind.__name__)} | fields_of(value)
        case datetime():
            return utc_text(int(value.timestamp()))
        case bytes():
            return value.hex()
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a TL object as JSON."""
    kind: type = type(value)
    return _fields(value, _kept(kind))


def _fields(value: Any, fields: Iterable[tuple[str, bool]]) -> dict[str, Any]:
    found = ((name, getattr(value, name), flag) for name, flag in fields)
    return {name: plain(field) for name, field, flag in found if not _is_nothing(field, flag=flag)}


def rest(value: Any) -> Any:
    """What SAYS does not claim of a TL object or a list of them, as JSON; None where that is nothing.

    An object of a type that SAYS does not know is kept whole. A list keeps its places.
    """
    if isinstance(value, list):
        items = [rest(item) for item in value]
        named = zip(value, items, strict=True)
        return [{"_": snake(type(v).__name__)} | (item or {}) for v, item in named] if any(items) else None
    kind: type = type(value)
    claimed = _claimed(kind)
    if claimed is None:
        return plain(value)
    found = {}
    if claimed.values_of is not None and any(claimed.values_of(value)):
        found = _fields(value, claimed.unsaid)
    for name in claimed.partly:
        field = getattr(value, name)
        if field is not None and (left := rest(field)) is not None:
            found[name] = left
    return found or None


def unsaid(kind: type) -> tuple[str, ...]:
    """The fields of a type that SAYS knows which it says not even in part."""
    claimed = _claimed(kind)
    return tuple(name for name, _ in claimed.unsaid) if claimed else ()


def is_kept(kind: type, field: str) -> bool:
    """Whether LEFT_OUT does not name this field of this type."""
    return field not in LEFT_OUT and f"{kind.__name__}.{field}" not in LEFT_OUT


def _is_nothing(value: Any, *, flag: bool) -> bool:
    return value is None or (flag and value is False) or value == []


@cache
def _kept(kind: type) -> tuple[tuple[str, bool], ...]:
    """Each field that is kept, and whether false means that it is not set."""
    return tuple(
        (name, parameter.default is None and f"{kind.__name__}.{name}" not in FALSE_SAYS_SOMETHING)
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and is_kept(kind, name)
    )


class _Claimed(NamedTuple):
    unsaid: tuple[tuple[str, bool], ...]
    partly: tuple[str, ...]
    values_of: Callable[[Any], tuple[Any, ...]] | None


@cache
def _claimed(kind: type) -> _Claimed | None:
    """Fields that are kept and not said at all, as in `_kept`; those said in part; and the values of the former."""
    says = SAYS.get(kind)
    if says is None:
        return None
    fields = tuple(field for field in _kept(kind) if not {field[0], f"{field[0]}."} & set(says))
    names = [name for name, _ in fields]
    values_of = attrgetter(*names, names[0]) if names else None
    return _Claimed(fields, tuple(name[:-1] for name in says if name.endswith(".")), values_of)
