"""What a later read may change: all that Telegram keeps up to date, nothing that was known; and an edit is an edit."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tg_pipeline.contracts.day_lines import encode
from tg_pipeline.storage.merge import Merge
from tg_pipeline.storage.reread import reread
from tg_pipeline_tests.storage.samples import record

EDITED_AT = "2025-03-14T11:00:00Z"
PHOTO = {"type": "photo", "id": 55, "width": 100}
VIDEO = {"type": "video", "id": 7, "duration": 3.5, "file_name": "a.mp4"}
POLL = {"type": "poll", "id": 9, "question": "Which?", "answers": ["a", "b"], "votes": {"30": 7}}
TO_DO = {"type": "to_do", "title": "L", "items": [{"id": 1, "title": "milk"}]}
PAGE = {"type": "web_page", "url": "https://x.example", "title": "T"}
BOLD = {"type": "bold", "offset": 0, "length": 2}
RICH = {"rich_message": {"_": "rich_message", "blocks": []}}

Fields = dict[str, Any]


def message(**fields: Any) -> Fields:
    return record(1, **fields).body | {"type": fields.get("type", "message")}


def media(was: Fields | None, now: Fields | None) -> tuple[Fields, Fields]:
    return {"media": was} if was else {}, {"media": now} if now else {}


NO_EDIT: dict[str, tuple[Fields, Fields]] = {
    "a preview is resolved": media({"type": "web_page", "url": "https://x.example"}, PAGE),
    "a preview appears": media(None, PAGE),
    "a preview changes": media(PAGE, PAGE | {"title": "1,999 views"}),
    "a photo expires": media(PHOTO, {"type": "photo", "expired": True, "ttl_seconds": 9}),
    "a video expires as a document": media(VIDEO, {"type": "document", "expired": True}),
    "media is not understood any more": media(PHOTO, {"type": "unsupported"}),
    "a text and its photo are withheld": (
        {"text": "a"} | media(PHOTO, None)[0],
        {"text": "", "media": {"type": "unsupported"}},
    ),
    "a text is withheld": ({"text": "a"}, {"text": ""}),
    "what was withheld is shown": ({"text": "", "media": {"type": "unsupported"}}, {"text": "a"}),
    "media is understood at last": media({"type": "unsupported"}, PHOTO),
    "a photo has other sizes": media(PHOTO, PHOTO | {"width": 200}),
    "a file was read as a document before": media({"type": "document"}, {"type": "voice", "expired": True}),
    "a video is converted anew": media(VIDEO, VIDEO | {"id": 8, "size": 3}),
    "votes are cast": media(POLL, POLL | {"votes": {"30": 8}, "closed": True}),
    "an item is done": media(TO_DO, TO_DO | {"completions": [{"id": 1, "by": 77}]}),
    "a live location moves": media({"type": "geo_live", "latitude": 1.5}, {"type": "geo_live", "latitude": 2.5}),
    "a to-do list was read without its items": media({"type": "to_do"}, TO_DO),
    "a contact was read without its name": media({"type": "contact"}, {"type": "contact", "first_name": "Jane"}),
    "the author became anonymous": ({"from_id": 77}, {"from_id": -1001}),
    "the forward hides its author": ({"forward": {"from_id": 5}}, {"forward": {"from_name": "Deleted Account"}}),
    "the stock of a gift falls": (
        {"type": "service", "action": {"type": "star_gift", "gift": {"_": "star_gift", "availability_remains": 5}}},
        {"type": "service", "action": {"type": "star_gift", "gift": {"_": "star_gift", "availability_remains": 3}}},
    ),
    "a call has ended": (
        {"type": "service", "action": {"type": "group_call"}},
        {"type": "service", "action": {"type": "group_call", "duration": 60}},
    ),
    "a forum was made of the group": ({"reply_to": 4}, {"reply_to": 4, "thread_id": 4, "topic": True}),
    "a rich message was read without its text": (
        {"text": "", "entities": []},
        {"text": "words", "entities": [BOLD], "wire": RICH},
    ),
    "an entity was read without its details": (
        {"entities": [BOLD | {"type": "blockquote"}]},
        {"entities": [BOLD | {"type": "blockquote", "collapsed": True}]},
    ),
    "a message of version 1.0.0 gets what the wire carries": ({}, {"wire": {"noforwards": True, "ttl_period": 60}}),
    "a fact check appears": ({}, {"wire": {"factcheck": {"_": "fact_check", "country": "US"}}}),
    "unreadable this time": ({"text": "hello"}, {"type": "unreadable", "text": ""}),
    "readable at last": ({"type": "unreadable", "text": ""}, {"text": "hello"}),
    "the history was cleared": (
        {"text": "hello"},
        {"type": "service", "text": "", "action": {"type": "history_clear"}},
    ),
}

EDIT: dict[str, tuple[Fields, Fields]] = {
    "the text": ({"text": "a"}, {"text": "b"}),
    "the text is taken away": ({"text": "a"}, {"text": "", "edit_date": "2025-03-14T11:00:00Z", "edited": True}),
    "a rich message": ({"text": "a", "wire": RICH}, {"text": "b", "wire": RICH}),
    "formatting is taken away": ({"entities": [BOLD]}, {"entities": []}),
    "a link": ({"entities": [BOLD | {"url": "x"}]}, {"entities": [BOLD | {"url": "y"}]}),
    "another photo": media(PHOTO, PHOTO | {"id": 56}),
    "another kind": media(PHOTO, VIDEO),
    "another video": media(VIDEO, VIDEO | {"id": 8, "duration": 60.0}),
    "a photo is added": media(None, PHOTO),
    "the question": media(POLL, POLL | {"question": "Who?"}),
    "an item": media(TO_DO, TO_DO | {"items": [{"id": 1, "title": "beer"}]}),
}


@pytest.mark.parametrize("what", NO_EDIT)
def test_what_telegram_changes_is_no_edit(what: str) -> None:
    was, now = NO_EDIT[what]
    joined, changed = reread(message(**was), message(**now))
    assert (changed, joined["edited"]) == (False, False)


@pytest.mark.parametrize("what", EDIT)
def test_what_a_person_changes_is_an_edit(what: str) -> None:
    was, now = EDIT[what]
    joined, changed = reread(message(**was), message(**now))
    assert (changed, joined["edited"]) == (True, True)
    assert {key: joined[key] for key in now} == now


SHOWN = {"edited": True, "edit_date": EDITED_AT}
LIKED = SHOWN | {"reactions": [{"reaction": "x", "count": 1}]}
BUTTONS = {"reply_markup": {"_": "reply_inline_markup", "rows": []}}
REASON = {"_": "restriction_reason", "platform": "all", "reason": "copyright", "text": "Not shown here"}
RESTRICTED = {"wire": {"restriction_reason": [REASON]}}
ON_IOS = {"wire": {"restriction_reason": [REASON | {"platform": "ios"}]}}
NOTICE = RESTRICTED | {"text": "Not shown here"}
"""What Telegram sends in place of a text that it withholds."""

REACTED: dict[str, tuple[Fields, Fields]] = {
    "a text": ({}, {}),
    "its text is formatted": ({"entities": [BOLD]}, {"entities": [BOLD]}),
    "a photo": media(PHOTO, PHOTO),
    "a photo that has expired": media(PHOTO, {"type": "photo", "expired": True}),
    "a poll with another vote": media(POLL, POLL | {"votes": {"30": 8}}),
    "its preview appears": media(None, PAGE),
    "a live location that moves": media({"type": "geo_live", "latitude": 1.5}, {"type": "geo_live", "latitude": 2.5}),
    "buttons": ({"wire": BUTTONS}, {"wire": BUTTONS}),
    "it was read with a reaction before": (LIKED | {"edited": False}, {}),
}
"""Read again with a reaction and a shown `edit_date`."""

SHOWN_EDIT: dict[str, tuple[Fields, Fields]] = {
    "buttons are added": ({}, {"wire": BUTTONS}),
    "buttons are taken away": ({"wire": BUTTONS}, {}),
    "the preview is taken away": media(PAGE, None),
    "another preview": media(PAGE, {"type": "web_page", "url": "https://y.example"}),
    "a photo is hidden": media(PHOTO, PHOTO | {"spoiler": True}),
    "the caption moves": ({}, {"wire": {"invert_media": True}}),
    "a kind without a summary": media({"type": "novelty", "a": 1}, {"type": "novelty", "a": 2}),
    "a text that was not read before": ({"text": ""}, {"text": "words", "wire": RICH}),
    "items that were not read before": media({"type": "to_do"}, TO_DO),
    "a message that was not read before": ({"type": "unreadable", "text": ""}, {}),
    "a message that was withheld before": (NOTICE, {"text": "words"}),
}
"""What the archive does not count as content, or did not know: where Telegram shows an edit, it is one."""

WITHHELD: dict[str, tuple[Fields, Fields]] = {
    "a text": ({"text": "words", "entities": [BOLD]}, NOTICE),
    "a text, worded otherwise": ({"text": "words"}, RESTRICTED | {"text": "Unavailable"}),
    "a text, replaced by nothing": ({"text": "words"}, RESTRICTED | {"text": ""}),
    "a text, for one platform": ({"text": "words"}, ON_IOS | {"text": "Not shown here"}),
    "a text, for one platform, worded otherwise": ({"text": "words"}, ON_IOS | {"text": "Unavailable"}),
    "a photo, for one platform": ({"text": "words", "media": PHOTO}, ON_IOS | {"text": "", "media": VIDEO}),
    "a caption and its photo": ({"text": "words", "media": PHOTO}, NOTICE),
    "a photo without a caption": ({"text": "", "media": PHOTO}, NOTICE),
    "a photo, replaced by another": ({"text": "", "media": PHOTO}, NOTICE | {"media": PHOTO | {"id": 56}}),
    "a photo, replaced by a video": ({"text": "", "media": PHOTO}, NOTICE | {"media": VIDEO}),
    "a photo, not understood": ({"text": "words", "media": PHOTO}, RESTRICTED | {"media": {"type": "unsupported"}}),
    "a poll": ({"text": "", "media": POLL}, NOTICE | {"media": POLL | {"question": "?", "votes": {"30": 7}}}),
    "a rich message": ({"text": "words", "wire": RICH}, NOTICE),
    "a message with a reaction": ({"text": "words", "media": PHOTO}, NOTICE | LIKED),
    "a message that was edited": ({"text": "words"} | SHOWN, NOTICE | SHOWN),
}


@pytest.mark.parametrize("what", REACTED)
def test_an_edit_date_without_a_change_of_content_makes_no_edit(what: str) -> None:
    was, now = REACTED[what]
    joined, changed = reread(message(**was), message(**LIKED | now))
    assert (changed, joined["edited"], joined["edit_date"]) == (False, False, EDITED_AT)
    assert joined["reactions"] == LIKED["reactions"]


@pytest.mark.parametrize("what", EDIT | SHOWN_EDIT)
def test_an_edit_date_that_came_with_a_change_is_an_edit(what: str) -> None:
    was, now = (EDIT | SHOWN_EDIT)[what]
    joined, _ = reread(message(**was), message(**LIKED | now))
    assert (joined["edited"], joined["edit_date"]) == (True, EDITED_AT)


def test_an_edit_that_was_known_stays_one() -> None:
    joined, _ = reread(message(**SHOWN), message(**LIKED | {"edit_date": "2025-03-14T12:00:00Z"}))
    assert joined["edited"]


@pytest.mark.parametrize("what", WITHHELD)
def test_what_telegram_withholds_is_kept_and_is_no_edit(what: str) -> None:
    was, now = WITHHELD[what]
    before, after = message(**was), message(**now)
    joined, changed = reread(before, after)
    assert (changed, joined["edited"]) == (False, before["edited"])
    assert (joined["text"], joined["entities"]) == (before["text"], before["entities"])
    media_now = joined.get("media") or {}
    assert {key: media_now.get(key) for key in before.get("media") or {}} == (before.get("media") or {})
    assert joined["wire"] == before.get("wire", {}) | after["wire"]
    assert reread(joined, after) == (joined, False)
    back, changed = reread(joined, before)
    assert (changed, back["edited"], back["text"]) == (False, before["edited"], before["text"])


@pytest.mark.parametrize(
    "withheld", [NOTICE, RESTRICTED | {"text": ""}, NOTICE | {"media": {"type": "unsupported"}}, NOTICE | ON_IOS]
)
@pytest.mark.parametrize("restricted", [{}, RESTRICTED, ON_IOS])
def test_words_replace_a_notice_and_are_no_edit(withheld: Fields, restricted: Fields) -> None:
    found = {"text": "words", "entities": [BOLD], "media": PHOTO}
    joined, changed = reread(message(**withheld), message(**found, **restricted))
    assert (changed, joined["edited"]) == (False, False)
    assert {key: joined[key] for key in found} == found
    assert reread(joined, message(**withheld))[0]["text"] == "words"


def test_another_notice_is_no_edit() -> None:
    other = {"text": "Hier nicht", "wire": {"restriction_reason": [REASON | {"text": "Hier nicht"}]}}
    joined, changed = reread(message(**NOTICE), message(**other))
    assert (changed, joined["edited"], joined["text"]) == (False, False, "Hier nicht")


@pytest.mark.parametrize("restriction", [RESTRICTED, ON_IOS])
def test_a_restriction_that_is_lifted_is_no_edit(restriction: Fields) -> None:
    found = {"text": "words", "media": PHOTO}
    joined, changed = reread(message(**restriction | {"text": "Unavailable"}), message(**found))
    assert (changed, joined["edited"]) == (False, False)
    assert {key: joined[key] for key in found} == found


def test_a_lifted_restriction_and_a_reaction_are_no_edit() -> None:
    reacted, _ = reread(message(**RESTRICTED | {"text": "words"}), message(**RESTRICTED | LIKED | {"text": "words"}))
    lifted, changed = reread(reacted, message(**LIKED | {"text": "words"}))
    assert (changed, lifted["edited"]) == (False, False)


HIDDEN_EDIT = {"wire": RESTRICTED["wire"] | {"edit_date": EDITED_AT}}


@pytest.mark.parametrize("now", [RESTRICTED | SHOWN, ON_IOS | SHOWN, HIDDEN_EDIT])
@pytest.mark.parametrize("was", [{}, RESTRICTED, ON_IOS])
def test_words_of_a_restricted_message_can_be_edited(was: Fields, now: Fields) -> None:
    joined, changed = reread(message(**was | {"text": "a"}), message(**now | {"text": "b"}))
    assert (changed, joined["edited"], joined["text"]) == (True, True, "b")


@pytest.mark.parametrize("what", NO_EDIT)
def test_what_was_known_stays(what: str) -> None:
    was, now = NO_EDIT[what]
    joined, _ = reread(message(**was), message(**now))
    assert missing(message(**was), joined) == []


def test_a_file_that_expired_is_still_the_file() -> None:
    expired = {"type": "document", "expired": True}
    joined, _ = reread(message(media=VIDEO | {"spoiler": True}), message(media=expired))
    assert joined["media"] == VIDEO | {"spoiler": True, "expired": True}
    back, _ = reread(joined, message(media=VIDEO))
    assert back["media"] == VIDEO


def test_what_is_not_understood_any_more_is_kept_and_marked() -> None:
    joined, _ = reread(message(media=PHOTO), message(media={"type": "unsupported"}))
    assert joined["media"] == PHOTO | {"unsupported": True}


def test_an_edit_takes_away_what_the_new_version_lacks() -> None:
    before = message(media=PHOTO, wire=BUTTONS | {"ttl_period": 60})
    unseen, _ = reread(before, message())
    assert (unseen["media"], unseen["wire"]) == (PHOTO, before["wire"])
    edited, changed = reread(before, message(edited=True, edit_date=EDITED_AT))
    assert (changed, edited.get("media"), edited["wire"]) == (True, None, {"ttl_period": 60})


def test_another_file_has_nothing_of_the_one_before() -> None:
    before = message(media=VIDEO, wire={"media": {"document": {"attributes": [{"_": "x"}]}}})
    joined, _ = reread(before, message(media=PHOTO))
    assert (joined["media"], joined.get("wire")) == (PHOTO, None)


def test_a_flag_that_is_absent_is_not_set() -> None:
    joined, _ = reread(message(wire={"noforwards": True, "from_rank": "Chief"}), message())
    assert joined["wire"] == {"from_rank": "Chief"}


def test_reactions_and_pins_are_those_of_the_last_read() -> None:
    liked = {"reactions": [{"reaction": "x", "count": 1}], "pinned": True, "wire": {"reactions": {"top_reactors": []}}}
    joined, _ = reread(message(**liked), message())
    assert not {"reactions", "pinned", "wire"} & joined.keys()


NUMBERS = st.sampled_from([None, 1, 2])
FILES = st.fixed_dictionaries(
    {"type": st.sampled_from(["photo", "video", "document"])},
    optional={"id": st.integers(1, 2), "file_name": st.sampled_from("ab"), "expired": st.just(value=True)},
)
OTHER_MEDIA = st.sampled_from([POLL, POLL | {"question": "Who?"}, TO_DO, PAGE, {"type": "unsupported"}])
PARTS = st.recursive(
    st.sampled_from([1, "a", True]),
    lambda inner: st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["", "a", "b"]),
        "views": NUMBERS,
        "from_id": st.sampled_from([None, 1, -2]),
        "reply_to": NUMBERS,
        "entities": st.lists(st.just(BOLD), max_size=1),
        "edit_date": st.sampled_from([None, EDITED_AT]),
        "edited": st.booleans(),
    },
    optional={
        "media": FILES | OTHER_MEDIA,
        "forward": st.fixed_dictionaries(
            {}, optional={"from_id": st.integers(1, 2), "from_name": st.sampled_from("ab")}
        ),
        "action": st.fixed_dictionaries({"type": st.just("star_gift")}, optional={"gift": PARTS}),
        "grouped_id": st.integers(1, 2),
        "post_author": st.sampled_from("ab"),
        "wire": st.dictionaries(st.sampled_from(["media", "reply_to", "factcheck", "from_rank"]), PARTS),
    },
)
SHOWN_INSTEAD: list[Fields] = [{}, {}, RESTRICTED, ON_IOS, RESTRICTED | {"text": ""}, NOTICE, NOTICE | ON_IOS]
MAYBE_WITHHELD = st.builds(lambda sent, shown: sent | shown, MESSAGES, st.sampled_from(SHOWN_INSTEAD))


@settings(max_examples=60, deadline=None)
@given(was=MAYBE_WITHHELD, now=MAYBE_WITHHELD)
def test_a_read_that_comes_again_changes_nothing_more(was: Fields, now: Fields) -> None:
    first = message(**was)
    assert encode(reread(first, first)[0]) == encode(first)
    joined, _ = reread(first, message(**now))
    again, changed = reread(joined, message(**now))
    assert (encode(again), changed) == (encode(joined), False)
    line = encode(message(**now))
    assert list(Merge(None).lines([line], [line])) == [line]


@settings(max_examples=60, deadline=None)
@given(was=MESSAGES, now=MESSAGES)
def test_nothing_known_becomes_unknown(was: Fields, now: Fields) -> None:
    before, after = message(**was), message(**now)
    inputs = orjson.dumps([before, after])
    joined, _ = reread(before, after)
    assert orjson.dumps([before, after]) == inputs
    assert missing(after, joined) == []
    if after["edit_date"] is None and (before.get("media") is None or joined.get("media", {}) != after.get("media")):
        assert missing(before, joined) == []


def missing(known: Any, found: Any, at: str = "") -> list[str]:
    """Where `found` lacks a value, whatever value, that is known. Flags and empty values are none."""
    if isinstance(known, dict) and (found is None or isinstance(found, dict)):
        parts = found or {}
        return [what for key, value in known.items() for what in missing(value, parts.get(key), f"{at}.{key}")]
    return [at] if found is None and known is not None and not isinstance(known, bool) and known not in ("", []) else []


@pytest.mark.parametrize("shown", [{"text": ""}, {"text": "", "media": {"type": "unsupported"}}])
def test_what_is_emptied_without_a_date_of_an_edit_keeps_its_words(shown: Fields) -> None:
    was = message(text="words", entities=[BOLD], media=PHOTO)
    joined, changed = reread(was, message(**shown))
    assert (joined["text"], joined["entities"], joined["media"]["id"]) == ("words", [BOLD], PHOTO["id"])
    assert (changed, joined["edited"]) == (False, False)
