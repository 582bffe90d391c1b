"""What a message can carry: text and entities, media, forward origin, flags. Which, is drawn from shares."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types as tl

from tg_pipeline.simulator.worlds import media
from tg_pipeline.simulator.worlds.people import BOT_IDS_FROM, USER_IDS_FROM
from tg_pipeline.simulator.worlds.text import FRAGMENTS, LONG_TEXT, join

FOREIGN_CHANNEL_ID = 1_600_000_001
"""A channel outside the world, from which posts are forwarded."""

Fields = dict[str, Any]
Body = Callable[[int, int, int], Fields]
"""Fields of `tl.Message` from 64 drawn bits, the id a file would have, and the date of the message."""

SHARES = 1024


def shares(*parts: tuple[int, Body]) -> Sequence[Body]:
    """A table of SHARES entries, each body in as many as its part says; the rest is plain text."""
    table = [body for share, body in parts for _ in range(share)]
    return (*table, *[text] * (SHARES - len(table)))


def text(bits: int, file_id: int, timestamp: int) -> Fields:  # noqa: ARG001 -- a Body
    """One to three sentences with their entities."""
    pieces = [FRAGMENTS[bits >> 49 & 31]]
    if bits >> 12 & 1:
        pieces.append(FRAGMENTS[bits >> 54 & 31])
        if bits >> 13 & 1:
            pieces.append(FRAGMENTS[bits >> 59])
    message, entities = join(pieces)
    return {"message": message, "entities": entities}


def longest(bits: int, file_id: int, timestamp: int) -> Fields:  # noqa: ARG001 -- a Body
    """4,096 characters."""
    return {"message": LONG_TEXT}


def rare(bits: int, file_id: int, timestamp: int) -> Fields:  # noqa: ARG001 -- a Body
    """No text, and a medium that archivers tend to forget."""
    return {"message": "", "media": media.rare(bits)}


def photo(bits: int, file_id: int, timestamp: int) -> Fields:  # noqa: ARG001 -- a Body
    """A photo without a caption."""
    return {"message": "", "media": media.photo(file_id, timestamp)}


def captioned(bits: int, file_id: int, timestamp: int) -> Fields:
    """A photo with a caption."""
    return {**text(bits, file_id, timestamp), "media": media.photo(file_id, timestamp)}


def document(bits: int, file_id: int, timestamp: int) -> Fields:
    """A file, voice note, video, sticker or song."""
    return {"message": "", "media": media.any_document(file_id, timestamp, bits >> 32)}


def poll(bits: int, file_id: int, timestamp: int) -> Fields:  # noqa: ARG001 -- a Body
    """A poll of three answers, sometimes a quiz, sometimes closed."""
    votes = [bits >> 32 & 63, bits >> 38 & 63, bits >> 44 & 63]
    days = ["Monday", "вторник", "水曜日 🗓"]
    quiz, closed = bool(bits >> 50 & 1), bool(bits >> 51 & 1)
    return {"message": "", "media": media.poll(file_id, "Which day suits you?", days, votes, quiz=quiz, closed=closed)}


def webpage(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text with the preview of a link."""
    page = media.webpage("https://example.org/docs?q=%F0%9F%98%80", "The docs 👩‍💻", "Everything in one place")
    return {**text(bits, file_id, timestamp), "media": page}


def via_bot(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text sent through an inline bot."""
    return {**text(bits, file_id, timestamp), "via_bot_id": BOT_IDS_FROM + (bits >> 32) % 3}


def forwarded(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text forwarded from a user, a hidden user or a channel."""
    origin: Fields
    match bits >> 32 & 3:
        case 0:
            origin = {"from_name": "Hidden Sender"}
        case 1:
            post_id = 1 + (bits >> 34 & 4095)
            origin = {"from_id": tl.PeerChannel(FOREIGN_CHANNEL_ID), "channel_post": post_id, "post_author": "Editor"}
        case _:
            origin = {"from_id": tl.PeerUser(USER_IDS_FROM + (bits >> 34) % 1_000)}
    date = datetime.fromtimestamp(timestamp - 3_600 - (bits >> 14) % 86_400, UTC)
    return {**text(bits, file_id, timestamp), "fwd_from": tl.MessageFwdHeader(date=date, **origin)}


def protected(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text that may not be forwarded."""
    return {**text(bits, file_id, timestamp), "noforwards": True}


def expiring(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text that deletes itself after a month."""
    return {**text(bits, file_id, timestamp), "ttl_period": 31 * 86_400}


def restricted(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text that one platform must not show."""
    reason = tl.RestrictionReason(platform="ios", reason="terms", text="Not shown here")
    return {**text(bits, file_id, timestamp), "restriction_reason": [reason]}


def mentioning(bits: int, file_id: int, timestamp: int) -> Fields:
    """A text that mentions the reader."""
    return {**text(bits, file_id, timestamp), "mentioned": True}


TALK = shares(
    (2, longest),
    (4, rare),
    (30, photo),
    (60, captioned),
    (50, document),
    (3, poll),
    (17, via_bot),
    (20, forwarded),
    (6, protected),
    (6, expiring),
    (4, restricted),
    (74, webpage),
    (10, mentioning),
)
"""What people say in groups and dialogs, in 1024ths."""

POSTS = shares(
    (10, longest),
    (20, rare),
    (100, photo),
    (300, captioned),
    (60, document),
    (40, poll),
    (80, forwarded),
    (200, webpage),
)
"""What channels publish, in 1024ths."""
