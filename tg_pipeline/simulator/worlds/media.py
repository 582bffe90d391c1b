"""Attachments: photos, documents, polls and the rest, and the bytes of the files among them."""

from datetime import UTC, datetime
from hashlib import shake_128

from telethon.tl import types as tl

from tg_pipeline.simulator.worlds.draws import draw

DC_ID = 2
_FILE_SEED = 0x5EED_F11E

_DOCUMENTS = (
    ("report.pdf", "application/pdf"),
    ("отчёт за год.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("trace.log", "text/plain"),
    ("backup.zip", "application/zip"),
)


def file_size(file_id: int) -> int:
    """Bytes of a file: 2 to 34 kB, drawn from its id."""
    return 2_048 + draw(_FILE_SEED, file_id) % 32_768


def file_bytes(file_id: int) -> bytes:
    """The content of a file; the same id always gives the same bytes."""
    return shake_128(file_id.to_bytes(8, "big", signed=True)).digest(file_size(file_id))


def file_id_of(message: tl.Message | tl.MessageService) -> int | None:
    """The id of the message's photo or document, None without one."""
    holder = message.action if isinstance(message, tl.MessageService) else message.media
    held = getattr(holder, "photo", None) or getattr(holder, "document", None)
    return held.id if held is not None else None


def photo(file_id: int, timestamp: int) -> tl.MessageMediaPhoto:
    """A photo in one size, whose bytes `file_bytes` gives."""
    size = tl.PhotoSize(type="x", w=800, h=600, size=file_size(file_id))
    return tl.MessageMediaPhoto(
        photo=tl.Photo(
            id=file_id,
            access_hash=draw(_FILE_SEED, file_id) >> 1,
            file_reference=file_id.to_bytes(8, "big", signed=True),
            date=datetime.fromtimestamp(timestamp, UTC),
            sizes=[size],
            dc_id=DC_ID,
        ),
    )


def document(
    file_id: int,
    timestamp: int,
    mime_type: str,
    attributes: list[tl.TypeDocumentAttribute],
    **flags: bool,
) -> tl.MessageMediaDocument:
    """A document whose bytes `file_bytes` gives; `flags` are those of messageMediaDocument (video, round, voice)."""
    return tl.MessageMediaDocument(
        document=tl.Document(
            id=file_id,
            access_hash=draw(_FILE_SEED, file_id) >> 1,
            file_reference=file_id.to_bytes(8, "big", signed=True),
            date=datetime.fromtimestamp(timestamp, UTC),
            mime_type=mime_type,
            size=file_size(file_id),
            dc_id=DC_ID,
            attributes=attributes,
        ),
        **flags,
    )


def any_document(file_id: int, timestamp: int, bits: int) -> tl.MessageMediaDocument:
    """A file, voice note, round video, video, animation, sticker or song, chosen by `bits`."""
    match bits % 8:
        case 0:
            return document(
                file_id,
                timestamp,
                "audio/ogg",
                [tl.DocumentAttributeAudio(duration=bits % 90 + 1, voice=True)],
                voice=True,
            )
        case 1:
            round_video = tl.DocumentAttributeVideo(duration=float(bits % 60 + 1), w=384, h=384, round_message=True)
            return document(file_id, timestamp, "video/mp4", [round_video], video=True, round=True)
        case 2:
            video = tl.DocumentAttributeVideo(duration=float(bits % 600 + 1), w=1280, h=720, supports_streaming=True)
            return document(
                file_id, timestamp, "video/mp4", [video, tl.DocumentAttributeFilename("clip.mp4")], video=True
            )
        case 3:
            sticker = tl.DocumentAttributeSticker(alt="😎", stickerset=tl.InputStickerSetEmpty())
            return document(file_id, timestamp, "image/webp", [tl.DocumentAttributeImageSize(512, 512), sticker])
        case 4:
            song = tl.DocumentAttributeAudio(duration=bits % 400 + 1, title="Étude", performer="Anonymous")
            return document(file_id, timestamp, "audio/mpeg", [song, tl.DocumentAttributeFilename("etude.mp3")])
        case _:
            name, mime_type = _DOCUMENTS[bits >> 8 & 3]
            return document(file_id, timestamp, mime_type, [tl.DocumentAttributeFilename(name)])


def plain(text: str) -> tl.TextWithEntities:
    """A text without entities, in the form polls want it."""
    return tl.TextWithEntities(text=text, entities=[])


def poll(
    poll_id: int, question: str, answers: list[str], voters: list[int], *, quiz: bool = False, closed: bool = False
) -> tl.MessageMediaPoll:
    """A poll with its results; `voters` counts per answer."""
    options = [bytes([index]) for index in range(len(answers))]
    return tl.MessageMediaPoll(
        poll=tl.Poll(
            id=poll_id,
            question=plain(question),
            answers=[
                tl.PollAnswer(text=plain(text), option=option) for text, option in zip(answers, options, strict=True)
            ],
            hash=0,
            quiz=quiz or None,
            closed=closed or None,
        ),
        results=tl.PollResults(
            results=[
                tl.PollAnswerVoters(option=option, voters=count, recent_voters=[])
                for option, count in zip(options, voters, strict=True)
            ],
            total_voters=sum(voters),
        ),
    )


def webpage(url: str, title: str, description: str | None = None) -> tl.MessageMediaWebPage:
    """The preview of a link."""
    page = tl.WebPage(
        id=draw(_FILE_SEED, len(url)) >> 1,
        url=url,
        display_url=url.removeprefix("https://"),
        hash=0,
        type="article",
        site_name="Example",
        title=title,
        description=description,
    )
    return tl.MessageMediaWebPage(webpage=page)


def rare(bits: int) -> tl.TypeMessageMedia:
    """One of the kinds that archivers tend to forget."""
    point = tl.GeoPoint(long=24.7536, lat=59.437, access_hash=bits & 0xFFFF)
    match bits >> 52 & 7:
        case 0:
            return tl.MessageMediaGeo(geo=point)
        case 1:
            return tl.MessageMediaVenue(
                geo=point, title="Kohvik", address="Pikk 1", provider="foursquare", venue_id="1", venue_type=""
            )
        case 2:
            return tl.MessageMediaContact(
                phone_number="12025550143", first_name="Ana", last_name="Silva", vcard="", user_id=0
            )
        case 3:
            return tl.MessageMediaDice(value=bits % 6 + 1, emoticon="🎲")
        case 4:
            return tl.MessageMediaGeoLive(geo=point, period=900)
        case 5:
            return tl.MessageMediaPhoto(ttl_seconds=30)
        case 6:
            return tl.MessageMediaStory(peer=tl.PeerUser(600_000_001), id=bits % 100 + 1)
        case _:
            return tl.MessageMediaUnsupported()
