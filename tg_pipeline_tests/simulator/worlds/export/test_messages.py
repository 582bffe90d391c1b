from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import pytest
from telethon import utils
from telethon.extensions import BinaryReader
from telethon.tl import types as tl

from tg_pipeline.simulator.world import TypeMessage
from tg_pipeline.simulator.worlds.export import load_export
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline_tests.exports.hand_made import chat, message, service
from tg_pipeline_tests.simulator.worlds.test_text import substring

Save = Callable[..., Path]
Serve = Callable[..., Overlay]


@pytest.fixture
def serve(save: Save) -> Serve:
    """Serves a supergroup of these messages."""

    def load(*messages: dict[str, Any], kind: str = "private_supergroup", bare_id: int = 77) -> Overlay:
        return load_export(save(chat(*messages, kind=kind, bare_id=bare_id)))[0]

    return load


def only(served: Overlay) -> TypeMessage:
    """The one message of a chat, as it arrives."""
    (sent,) = served.messages(0, 99, inf)
    return BinaryReader(bytes(sent)).tgread_object()


ENTITIES: list[tuple[dict[str, Any], type, dict[str, Any]]] = [
    ({"type": "link"}, tl.MessageEntityUrl, {}),
    ({"type": "text_link", "href": "https://e.org"}, tl.MessageEntityTextUrl, {"url": "https://e.org"}),
    ({"type": "bold"}, tl.MessageEntityBold, {}),
    ({"type": "italic"}, tl.MessageEntityItalic, {}),
    ({"type": "underline"}, tl.MessageEntityUnderline, {}),
    ({"type": "strikethrough"}, tl.MessageEntityStrike, {}),
    ({"type": "code"}, tl.MessageEntityCode, {}),
    ({"type": "pre", "language": "go"}, tl.MessageEntityPre, {"language": "go"}),
    ({"type": "mention"}, tl.MessageEntityMention, {}),
    ({"type": "mention_name", "user_id": 9}, tl.MessageEntityMentionName, {"user_id": 9}),
    ({"type": "mention_name"}, tl.MessageEntityUnknown, {}),
    ({"type": "hashtag"}, tl.MessageEntityHashtag, {}),
    ({"type": "cashtag"}, tl.MessageEntityCashtag, {}),
    ({"type": "bot_command"}, tl.MessageEntityBotCommand, {}),
    ({"type": "email"}, tl.MessageEntityEmail, {}),
    ({"type": "phone"}, tl.MessageEntityPhone, {}),
    ({"type": "bank_card"}, tl.MessageEntityBankCard, {}),
    ({"type": "spoiler"}, tl.MessageEntitySpoiler, {}),
    ({"type": "custom_emoji", "document_id": "5368"}, tl.MessageEntityCustomEmoji, {"document_id": 5368}),
    ({"type": "custom_emoji", "document_id": "(not included)"}, tl.MessageEntityCustomEmoji, {"document_id": 0}),
    ({"type": "blockquote", "collapsed": True}, tl.MessageEntityBlockquote, {"collapsed": True}),
    ({"type": "something new"}, tl.MessageEntityUnknown, {}),
]


@pytest.mark.parametrize(("part", "entity", "fields"), ENTITIES, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("where", ["text", "text_entities"])
def test_a_part_of_a_text_becomes_an_entity_in_utf_16(
    serve: Serve, where: str, part: dict[str, Any], entity: type, fields: dict[str, Any]
) -> None:
    parts = ["🚀 ", {**part, "text": "the 📖"}, {"type": "plain", "text": " end"}]
    text: Any = parts
    others = {}
    if where == "text_entities":
        text = "🚀 the 📖 end"
        others = {"text_entities": [{"type": "plain", "text": "🚀 "}, *parts[1:]]}
    sent = only(serve(message(1, text, **others)))
    assert sent.message == "🚀 the 📖 end"
    (found,) = sent.entities
    assert type(found) is entity
    assert substring(sent.message, found) == "the 📖"
    assert {name: getattr(found, name) for name in fields} == fields


def test_the_text_wins_over_entities_that_spell_another(serve: Serve) -> None:
    sent = only(
        serve(message(1, ["x ", {"type": "bold", "text": "y"}], text_entities=[{"type": "italic", "text": "z"}]))
    )
    assert sent.message == "x y"
    assert [type(found) for found in sent.entities] == [tl.MessageEntityBold]


def test_an_empty_part_makes_no_entity(serve: Serve) -> None:
    assert not only(serve(message(1, [{"type": "bold", "text": ""}, "x"]))).entities


def test_senders_are_told_as_telegram_tells_them(serve: Serve) -> None:
    senders = ["user42", "channel9", "chat8", "channel77", None]
    served = serve(*(message(n, from_id=sender) for n, sender in enumerate(senders, 1)))
    found = [sent.from_id for sent in served.messages(0, 9, inf)]
    assert found == [tl.PeerUser(42), tl.PeerChannel(9), tl.PeerChat(8), None, None]
    assert {utils.get_peer_id(person) for person in served.people(served.messages(0, 9, inf))} == {
        42,
        -1_000_000_000_009,
        -8,
    }
    assert all(bytes(person) for person in served.people(served.messages(0, 9, inf)))


def test_senders_of_old_exports_are_numbers(serve: Serve) -> None:
    served = serve(message(1, from_id=42), message(2, from_id=(1 << 32) + 43), message(3, from_id=(2 << 32) + 44))
    assert [sent.from_id for sent in served.messages(0, 9, inf)] == [
        tl.PeerUser(42),
        tl.PeerUser(43),
        tl.PeerChannel(44),
    ]


def test_names_come_with_their_ids(serve: Serve) -> None:
    served = serve(message(1), message(2, from_id="user43", **{"from": None}))
    people = {person.id: person for person in served.people(served.messages(0, 9, inf))}
    assert (people[42].first_name, people[42].deleted) == ("Ana", None)
    assert (people[43].first_name, people[43].deleted) == (None, True)
    again = served.people(served.messages(0, 1, inf))
    assert again[0] is people[42]


def test_posts_of_a_channel_are_anonymous(serve: Serve) -> None:
    sent = only(serve(message(1, from_id="channel77", author="Ana"), kind="public_channel"))
    assert (sent.post, sent.from_id, sent.post_author) == (True, None, "Ana")


def test_the_direction_of_a_private_message_is_told_by_out(serve: Serve) -> None:
    served = serve(message(1, from_id="user77"), message(2, from_id="user42"), kind="personal_chat")
    assert [(sent.out, sent.from_id) for sent in served.messages(0, 9, inf)] == [(False, None), (True, None)]


def test_an_edit_has_its_own_date(serve: Serve) -> None:
    assert only(serve(message(1, edited_unixtime="1714560000"))).edit_date == datetime(2024, 5, 1, 10, 40, tzinfo=UTC)


@pytest.mark.parametrize("moment", ["soon", "99999999999", None])
def test_an_impossible_edit_date_counts_as_absent(serve: Serve, moment: str | None) -> None:
    assert only(serve(message(1, edited_unixtime=moment))).edit_date is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"forwarded_from": "World news"}, {"from_name": "World news", "from_id": None}),
        (
            {"forwarded_from": "World news", "forwarded_from_id": "channel5"},
            {"from_name": None, "from_id": tl.PeerChannel(5)},
        ),
        ({"forwarded_from": None}, {"from_name": None, "from_id": None}),
        ({"saved_from": "Notes"}, {"saved_from_name": "Notes"}),
    ],
)
def test_a_forward_names_its_origin(serve: Serve, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    header = only(serve({**message(1), **fields})).fwd_from
    assert {name: getattr(header, name) for name in expected} == expected


def test_a_bot_known_by_name_alone_gets_a_stable_id(serve: Serve) -> None:
    served = serve(message(1, via_bot="@gif"), message(2, via_bot="@gif"), message(3, via_bot="Ana"))
    first, second, third = (sent.via_bot_id for sent in served.messages(0, 9, inf))
    assert first == second > 2**32
    assert third == 42
    assert {person.first_name for person in served.people(served.messages(0, 9, inf))} == {"Ana", "@gif"}


def test_replies_follow_the_thread_up_to_its_root(serve: Serve) -> None:
    served = serve(
        message(1),
        message(2, reply_to_message_id=1),
        message(3, reply_to_message_id=2),
        message(4, reply_to_message_id=9, reply_to_peer_id="channel5"),
        message(5, reply_to_message_id=1),
        service(6, "pin_message", message_id=3),
    )
    headers = [sent.reply_to for sent in served.messages(1, 9, inf)]
    assert [(header.reply_to_msg_id, header.reply_to_top_id) for header in headers] == [
        (1, None),
        (2, 1),
        (9, None),
        (1, None),
        (3, 1),
    ]
    assert headers[2].reply_to_peer_id == tl.PeerChannel(5)
    assert list(served.replies(1, inf)) == [1, 2, 4, 5]
    assert list(served.replies(1, 1_714_557_600 + 3)) == [1, 2]
    assert list(served.replies(2, inf)) == []
    assert list(served.topics()) == []
    assert not served.entity.forum


def test_topics_are_those_that_service_messages_created(serve: Serve) -> None:
    served = serve(
        service(1, "topic_created", title="Support"),
        message(2, reply_to_message_id=1),
        message(3, reply_to_message_id=2),
        message(4),
    )
    assert served.entity.forum
    assert [(topic.id, topic.title) for topic in served.topics()] == [(1, "Support")]
    assert list(served.replies(1, inf)) == [1, 2]
    headers = [sent.reply_to for sent in served.messages(1, 3, inf)]
    assert [(h.forum_topic, h.reply_to_msg_id, h.reply_to_top_id) for h in headers] == [(True, 1, None), (True, 2, 1)]
    assert bytes(served.topics()[0])


def test_reactions_are_counted(serve: Serve) -> None:
    exported = [
        {"type": "emoji", "count": 3, "emoji": "👍"},
        {"type": "custom_emoji", "count": 2, "document_id": "77"},
        {"type": "custom_emoji", "count": 1, "document_id": "stickers/x.webp"},
        {"type": "paid", "count": 9},
    ]
    counted = only(serve(message(1, reactions=exported))).reactions.results
    assert [(result.reaction, result.count) for result in counted] == [
        (tl.ReactionEmoji("👍"), 3),
        (tl.ReactionCustomEmoji(77), 2),
        (tl.ReactionCustomEmoji(0), 1),
        (tl.ReactionPaid(), 9),
    ]


ACTIONS: list[tuple[str, dict[str, Any], tl.TypeMessageAction]] = [
    ("create_group", {"title": "T", "members": ["Ana"]}, tl.MessageActionChatCreate("T", [42])),
    ("edit_group_title", {"title": "T"}, tl.MessageActionChatEditTitle("T")),
    ("delete_group_photo", {}, tl.MessageActionChatDeletePhoto()),
    ("invite_members", {"members": ["Ana", "Ana"]}, tl.MessageActionChatAddUser([42, 42])),
    ("invite_members", {"members": "Ana"}, tl.MessageActionChatAddUser([])),
    ("remove_members", {"members": ["Ana"]}, tl.MessageActionChatDeleteUser(42)),
    ("remove_members", {}, tl.MessageActionChatDeleteUser(42)),
    ("join_group_by_link", {"inviter": "Ana"}, tl.MessageActionChatJoinedByLink(42)),
    ("join_group_by_request", {}, tl.MessageActionChatJoinedByRequest()),
    ("create_channel", {"title": "T"}, tl.MessageActionChannelCreate("T")),
    ("migrate_to_supergroup", {}, tl.MessageActionChatMigrateTo(77)),
    ("migrate_from_group", {"title": "T"}, tl.MessageActionChannelMigrateFrom("T", 77)),
    ("pin_message", {"message_id": 5}, tl.MessageActionPinMessage()),
    ("clear_history", {}, tl.MessageActionHistoryClear()),
    ("score_in_game", {"score": 8}, tl.MessageActionGameScore(0, 8)),
    ("phone_call", {"duration_seconds": 60}, tl.MessageActionPhoneCall(0, duration=60)),
    ("phone_call", {}, tl.MessageActionPhoneCall(0)),
    ("take_screenshot", {}, tl.MessageActionScreenshotTaken()),
    ("joined_telegram", {}, tl.MessageActionContactSignUp()),
    ("group_call", {"duration": 5}, tl.MessageActionGroupCall(tl.InputGroupCall(0, 0), duration=5)),
    ("invite_to_group_call", {"members": ["Ana"]}, tl.MessageActionInviteToGroupCall(tl.InputGroupCall(0, 0), [42])),
    (
        "group_call_scheduled",
        {"schedule_date": 1_714_560_000},
        tl.MessageActionGroupCallScheduled(tl.InputGroupCall(0, 0), datetime(2024, 5, 1, 10, 40, tzinfo=UTC)),
    ),
    ("set_messages_ttl", {"period": 86_400}, tl.MessageActionSetMessagesTTL(86_400)),
    ("edit_chat_theme", {"emoticon": "🦁"}, tl.MessageActionSetChatTheme(tl.ChatTheme("🦁"))),
    ("topic_created", {"title": "T"}, tl.MessageActionTopicCreate("T", 0x6FB9F0)),
    ("topic_edit", {"new_title": "T"}, tl.MessageActionTopicEdit("T")),
    ("boost_apply", {"boosts": 2}, tl.MessageActionBoostApply(2)),
    ("attach_menu_bot_allowed", {}, tl.MessageActionBotAllowed(attach_menu=True)),
    ("edit_group_photo", {}, tl.MessageActionCustomAction("edit_group_photo")),
    ("something_new", {}, tl.MessageActionCustomAction("something_new")),
]


@pytest.mark.parametrize(("action", "fields", "expected"), ACTIONS, ids=lambda value: str(value)[:24])
def test_a_service_message_is_known_by_its_action(
    serve: Serve, action: str, fields: dict[str, Any], expected: tl.TypeMessageAction
) -> None:
    sent = only(serve(service(1, action, **fields)))
    assert isinstance(sent, tl.MessageService)
    assert sent.from_id == tl.PeerUser(42)
    assert bytes(sent.action) == bytes(expected)


def test_made_up_members_are_people_too(serve: Serve) -> None:
    served = serve(service(1, "invite_members", members=["Nobody", None]))
    names = {person.first_name for person in served.people(served.messages(0, 1, inf))}
    assert names == {"Ana", "Nobody", None}
