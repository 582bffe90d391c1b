"""Messages as Telegram sends them become messages as the day file holds them; none is dropped for being odd."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from telethon.tl import types as tl

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.day_file import Message, Participant
from tg_pipeline.simulator.worlds.demo import build_world
from tg_pipeline.telegram.mapping import MessageMapper, entity_id, participant
from tg_pipeline.telegram.plain import marked_id, snake
from tg_pipeline_tests.telegram.tl_samples import MOMENT, samples

WHEN = int(MOMENT.timestamp())
CHANNEL = Peer("channel", 77, 1)
NOW = datetime(2025, 6, 1, tzinfo=UTC).timestamp()
OWN_ID = 500
MAPPER = MessageMapper("chat", CHANNEL, OWN_ID)


def mapped(mapper: MessageMapper = MAPPER, **fields: Any) -> dict[str, Any]:
    """A message with these fields, mapped and held to the contract."""
    usual: dict[str, Any] = {"id": 5, "peer_id": tl.PeerChannel(77), "date": MOMENT, "message": "hi"}
    return checked(mapper, tl.Message(**(usual | fields)))


def served(action: Any, **fields: Any) -> dict[str, Any]:
    """A service message of that action, mapped and held to the contract."""
    return checked(MAPPER, tl.MessageService(id=5, peer_id=tl.PeerChannel(77), date=MOMENT, action=action, **fields))


def checked(mapper: MessageMapper, message: Any) -> dict[str, Any]:
    record = mapper.record(message, int(message.date.timestamp()))
    written = orjson.loads(orjson.dumps(record.body))
    Message.model_validate(written)
    assert (record.id, record.body["id"]) == (message.id, message.id)
    return dict(written)


WORLD = build_world(0, NOW)


@pytest.mark.parametrize("chat_id", WORLD.chats, ids=lambda chat_id: WORLD.chats[chat_id].username or str(chat_id))
def test_every_message_of_the_worlds_fits_the_contract(chat_id: int) -> None:
    chat = WORLD.chats[chat_id]
    kind = "channel" if chat_id < -(10**12) else "chat" if chat_id < 0 else "user"
    peer = Peer(kind, abs(chat_id) % 10**12, 1)  # type: ignore[arg-type] # the three kinds there are
    mapper = MessageMapper("chat", peer, OWN_ID)
    size = chat.size(NOW)
    for start in range(0, size, max(400, size // 5)):
        messages = chat.messages(start, min(start + 400, size), NOW)
        for message in messages:
            checked(mapper, message)
        for entity in chat.people(messages):
            if entity_id(entity) is not None:
                Participant.model_validate(participant(entity))


def test_a_plain_message_has_every_field_of_the_contract() -> None:
    assert mapped(from_id=tl.PeerUser(9), views=3, forwards=2) == {
        "id": 5,
        "date": "2024-02-29T12:00:00Z",
        "from_id": 9,
        "chat": "chat",
        "text": "hi",
        "reply_to": None,
        "views": 3,
        "forwards": 2,
        "replies_count": None,
        "entities": [],
        "edited": False,
        "edit_date": None,
        "deleted": False,
        "deleted_at": None,
        "type": "message",
    }


@pytest.mark.parametrize("action", samples("MessageAction"), ids=lambda a: type(a).__name__)
def test_every_service_action_keeps_its_name_and_its_fields(action: Any) -> None:
    message = served(action)
    assert message["type"] == "service"
    assert message["action"]["type"] == snake(type(action).__name__.removeprefix("MessageAction"))
    fields = {name for name, value in vars(action).items() if value is not None}
    assert fields - message["action"].keys() <= {"type", "access_hash", "file_reference"}


MEDIA = [media for media in samples("MessageMedia") if not isinstance(media, tl.MessageMediaEmpty)]


@pytest.mark.parametrize("media", MEDIA, ids=lambda m: type(m).__name__)
def test_every_kind_of_media_is_summarised_under_a_name(media: Any) -> None:
    message = mapped(media=media)
    assert message["media"]["type"]
    assert "file_reference" not in orjson.dumps(message).decode()


def test_no_two_kinds_of_media_share_a_name() -> None:
    named = {(mapped(media=media)["media"]["type"], type(media)) for media in MEDIA}
    assert len({name for name, _ in named}) == len(named)


def test_media_that_is_empty_is_none() -> None:
    assert "media" not in mapped(media=tl.MessageMediaEmpty())


@pytest.mark.parametrize("entity", samples("MessageEntity"), ids=lambda e: type(e).__name__)
def test_every_kind_of_entity_keeps_its_place(entity: Any) -> None:
    (found,) = mapped(entities=[entity])["entities"]
    assert (found["offset"], found["length"]) == (entity.offset, entity.length)
    assert found["type"]


@pytest.mark.parametrize("reaction", samples("Reaction"), ids=lambda r: type(r).__name__)
def test_every_kind_of_reaction_has_a_name(reaction: Any) -> None:
    results = [tl.ReactionCount(reaction, 2), tl.ReactionCount(tl.ReactionEmoji("🎉"), 5)]
    reactions = mapped(reactions=tl.MessageReactions(results))["reactions"]
    assert reactions[0] == {"reaction": "🎉", "count": 5}
    assert reactions[1]["reaction"]


@pytest.mark.parametrize("header", samples("MessageReplyHeader"), ids=lambda h: type(h).__name__)
def test_every_kind_of_reply_fits(header: Any) -> None:
    mapped(reply_to=header)


@pytest.mark.parametrize("forward", samples("MessageFwdHeader"))
def test_every_forward_keeps_its_date(forward: Any) -> None:
    assert mapped(fwd_from=forward)["forward"]["date"] == "2024-02-29T12:00:00Z"


@pytest.mark.parametrize("entity", [*samples("User"), *samples("Chat")], ids=lambda e: type(e).__name__)
def test_everybody_described_is_a_participant_without_a_phone_number(entity: Any) -> None:
    if entity_id(entity) is None:
        assert not isinstance(entity, tl.User | tl.Chat | tl.Channel)
        return
    person = participant(entity)
    Participant.model_validate(person)
    assert person["name"] == ("x" if hasattr(entity, "title") else getattr(entity, "first_name", None) and "x x")
    assert "phone" not in person


@pytest.mark.parametrize("peer", samples("Peer"), ids=lambda p: type(p).__name__)
def test_every_kind_of_peer_has_a_marked_id(peer: Any) -> None:
    assert marked_id(peer)


@pytest.mark.parametrize(
    ("peer", "from_id", "out", "expected"),
    [
        (CHANNEL, tl.PeerUser(9), False, 9),
        (CHANNEL, tl.PeerChannel(9), False, -1_000_000_000_009),
        (CHANNEL, None, False, -1_000_000_000_077),
        (Peer("user", 8, 1), None, False, 8),
        (Peer("user", 8, 1), None, True, OWN_ID),
        (Peer("chat", 6, 0), tl.PeerUser(9), False, 9),
    ],
)
def test_who_speaks(peer: Peer, from_id: Any, *, out: bool, expected: int | None) -> None:
    where = {"channel": tl.PeerChannel(77), "user": tl.PeerUser(8), "chat": tl.PeerChat(6)}[peer.kind]
    assert mapped(MessageMapper("chat", peer, OWN_ID), from_id=from_id, out=out, peer_id=where)["from_id"] == expected


@pytest.mark.parametrize("hidden", [False, True])
def test_an_edit_that_telegram_hides_is_none(*, hidden: bool) -> None:
    message = mapped(edit_date=MOMENT, edit_hide=hidden)
    assert (message["edited"], message["edit_date"]) == (not hidden, None if hidden else "2024-02-29T12:00:00Z")


def test_a_reply_in_a_topic_names_message_and_topic() -> None:
    header = tl.MessageReplyHeader(reply_to_msg_id=4, reply_to_top_id=2, forum_topic=True)
    message = mapped(reply_to=header)
    assert (message["reply_to"], message["thread_id"], message["topic"]) == (4, 2, True)
    first = mapped(reply_to=tl.MessageReplyHeader(reply_to_msg_id=2, forum_topic=True))
    assert (first["reply_to"], first["thread_id"], first["topic"]) == (2, 2, True)


def test_reactions_are_in_an_order_that_does_not_change() -> None:
    counts = [tl.ReactionCount(tl.ReactionEmoji(e), n) for e, n in (("b", 1), ("a", 1), ("c", 9))]
    orders: Sequence[Any] = [counts, counts[::-1]]
    found = [mapped(reactions=tl.MessageReactions(order))["reactions"] for order in orders]
    assert found[0] == found[1]
    assert [r["reaction"] for r in found[0]] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("peer", "expected"),
    [(None, None), (tl.PeerUser(5), 5), (tl.PeerChat(5), -5), (tl.PeerChannel(5), -1_000_000_000_005)],
)
def test_marked_ids(peer: Any, expected: int | None) -> None:
    assert marked_id(peer) == expected


def words(text: str) -> tl.TextWithEntities:
    return tl.TextWithEntities(text, [])


def test_a_poll_has_its_votes_by_option() -> None:
    poll = tl.Poll(9, words("Which?"), [tl.PollAnswer(words("a"), b"0"), tl.PollAnswer(words("b"), b"1")], 0, quiz=True)
    votes = [tl.PollAnswerVoters(b"0", voters=7, correct=True), tl.PollAnswerVoters(b"1", voters=2, chosen=True)]
    message = mapped(media=tl.MessageMediaPoll(poll, tl.PollResults(results=votes, total_voters=9, solution="so")))
    assert message["media"] == {
        "type": "poll",
        "id": 9,
        "question": "Which?",
        "answers": ["a", "b"],
        "options": ["30", "31"],
        "quiz": True,
        "votes": {"30": 7, "31": 2},
        "correct": ["30"],
        "total_voters": 9,
        "solution": "so",
    }
    assert "wire" not in message


def test_a_to_do_list_has_its_items_and_who_completed_them() -> None:
    todo = tl.TodoList(words("Shopping"), [tl.TodoItem(1, words("milk"))])
    message = mapped(media=tl.MessageMediaToDo(todo, [tl.TodoCompletion(1, tl.PeerUser(9), MOMENT)]))
    assert message["media"] == {
        "type": "to_do",
        "title": "Shopping",
        "items": [{"id": 1, "title": "milk"}],
        "completions": [{"id": 1, "by": 9, "date": "2024-02-29T12:00:00Z"}],
    }


def test_a_contact_that_was_sent_has_name_and_number() -> None:
    message = mapped(media=tl.MessageMediaContact("+10000000000", "Jane", "Roe", "", 9))
    assert message["media"] == {
        "type": "contact",
        "user_id": 9,
        "phone_number": "+10000000000",
        "first_name": "Jane",
        "last_name": "Roe",
    }


def test_a_photo_whose_time_is_up_says_so() -> None:
    message = mapped(media=tl.MessageMediaPhoto(ttl_seconds=60))
    assert message["media"] == {"type": "photo", "ttl_seconds": 60, "expired": True}


def test_what_no_field_says_is_under_wire() -> None:
    quote = tl.MessageReplyHeader(reply_to_msg_id=5, quote=True, quote_text="the words", quote_offset=0)
    message = mapped(reply_to=quote, saved_peer_id=tl.PeerUser(3), silent=True, out=True, ttl_period=60)
    assert message["reply_to"] == 5
    assert message["wire"] == {
        "reply_to": {"quote": True, "quote_text": "the words", "quote_offset": 0},
        "silent": True,
        "saved_peer_id": {"_": "peer_user", "user_id": 3},
        "ttl_period": 60,
    }


def test_a_rich_message_has_its_text_and_keeps_its_tree() -> None:
    rich = tl.RichMessage([tl.PageBlockParagraph(tl.TextBold(tl.TextPlain("hello")))], [], [])
    message = mapped(message="", rich_message=rich)
    assert (message["text"], message["entities"]) == ("hello", [{"type": "bold", "offset": 0, "length": 5}])
    assert message["wire"]["rich_message"]["blocks"]


def test_the_date_of_an_edit_that_telegram_hides_is_kept_apart() -> None:
    assert mapped(edit_date=MOMENT, edit_hide=True)["wire"] == {"edit_date": "2024-02-29T12:00:00Z"}
