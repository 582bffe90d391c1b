"""What is read of an export, and what is refused; what is served of it shows most of that."""

import json
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from telethon.tl import types as tl

from tg_pipeline.exports.errors import ExportError
from tg_pipeline.exports.reading import read_export
from tg_pipeline.exports.text import text_and_parts
from tg_pipeline.simulator.worlds.export import exported_world, load_export
from tg_pipeline_tests.exports.hand_made import account, chat, message

Save = Callable[..., Path]


def refused(path: Path) -> str:
    """The sentence with which an export is refused, without the path that it begins with."""
    with pytest.raises(ExportError) as caught:
        load_export(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(str(path))
    return sentence.removeprefix(str(path)).removeprefix("/result.json").lstrip(": ")


def test_records_keep_every_field_in_the_order_of_ids(tmp_path: Path) -> None:
    exported = chat(message(2, "b", unheard_of={"x": 1}), message(1, "a"))
    (tmp_path / "result.json").write_text(json.dumps(exported))
    (found,) = read_export(tmp_path, None).chats
    assert (found.kind, found.bare_id, found.name) == ("public_channel", 1_234_567_890, "My chat")
    assert [(r.message_id, r.timestamp) for r in found.records] == [(1, 1_714_557_601), (2, 1_714_557_602)]
    assert found.records[1].fields == exported["messages"][0]


def test_pieces_of_a_text_keep_what_is_said_of_them() -> None:
    bold = {"type": "bold", "text": "b"}
    assert text_and_parts({"text": ["a", bold]}) == ("ab", [("a", None), ("b", bold)])
    assert text_and_parts({"text": "ab", "text_entities": [{"type": "x", "text": "other"}]}) == ("ab", [])


def test_local_dates_are_read_in_the_time_zone_that_is_told(save: Save) -> None:
    path = save(chat(message(date="2020-07-01T00:30:00", date_unixtime=None)))
    assert refused(path) == (
        "chat 'My chat', message 1 has only a local date (2020-07-01T00:30:00); name the time zone it was made "
        "in, such as --timezone Europe/Berlin."
    )
    (served,) = load_export(path, timezone=ZoneInfo("Europe/Berlin"))
    assert served.messages(0, 1, inf)[0].date.isoformat() == "2020-06-30T22:30:00+00:00"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path) == "does not exist; a Telegram Desktop export in the format JSON has that file."
    with pytest.raises(ExportError, match=str(tmp_path / "nowhere")):
        load_export(tmp_path / "nowhere")


def test_an_html_export_is_told_from_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "messages.html").write_text("<html>")
    assert refused(tmp_path).endswith("is an export in HTML; export the chat again with the format JSON.")


def test_an_unreadable_file_says_why(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    assert refused(tmp_path) == "cannot be read: Is a directory."


def test_an_export_cut_off_anywhere_says_so(save: Save, tmp_path: Path) -> None:
    whole = orjson.dumps(chat(message(text='Ж😀 \\ "quoted"'), message(2, text=["a", {"type": "bold", "text": "é"}])))
    whole = whole.replace("Ж".encode(), b"\\u0416\\ud83d\\ude00")
    path = save(whole)
    file = path / "result.json"
    for length in range(1, len(whole)):
        file.write_bytes(whole[:length])
        assert refused(path) == f"is cut off at byte {length}; export the chat again."
    file.write_bytes(whole)
    assert load_export(path)
    file.write_bytes(b" \n")
    assert refused(path) == "is empty."


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ([[1]], "it holds no JSON object"),
        ([{"rows": []}, {"chats": {"list": 5}}], "it has neither messages nor a list of chats"),
        ([{**chat(), "messages": {}}], "a chat in it has no list of messages"),
    ],
)
def test_what_is_no_export_is_refused_with_its_reason(save: Save, contents: list[object], reason: str) -> None:
    for number, content in enumerate(contents):
        assert refused(save(content, f"export_{number}")) == f"is not a Telegram Desktop export: {reason}."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"é": x}'.encode(), "is not JSON at byte 7."),
        (b"\xff{}", "is not UTF-8 at byte 0."),
        (
            chat(kind="fax"),
            (
                "chats of the type 'fax' are not known; known are public_channel, private_channel, public_supergroup, "
                "private_supergroup, private_group, personal_chat, bot_chat, saved_messages, replies, verify_codes, "
                "verification_codes."
            ),
        ),
        (chat(bare_id=-5), "chat 'My chat' has the id -5; it must be a positive number."),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_sentence(save: Save, content: object, sentence: str) -> None:
    assert refused(save(content)) == sentence


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_export_that_an_editor_has_saved_is_served(save: Save, encoding: str) -> None:
    text = orjson.dumps(chat(message(1, "Ж😀"))).decode()
    (served,) = load_export(save(text.encode(encoding)))
    assert served.messages(0, 1, inf)[0].message == "Ж😀"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb"1=4\x012=9", "1=4\x012=9"),
        (rb"\x1F\x7f\\x01 \\\x0a", "\x1f\x7f\\x01 \\\n"),
        (rb"\q \' \u12 \v", "\\q \\' \\u12 \\v"),
        (rb"\ud83d\ude00 \ud83d! \ude00", "😀 \ufffd! \ufffd"),
        (b"a\x01b\tc\nd\\\n", "a\x01b\tc\nd\\\n"),
        (b"\xff\xd0\x96", "\ufffdЖ"),
        (rb"\"\/\b\f\n\r\t\u00e9 \x41", '"/\b\f\n\r\té A'),
    ],
)
def test_what_json_does_not_know_is_repaired_in_place(
    save: Save, caplog: pytest.LogCaptureFixture, written: bytes, meant: str
) -> None:
    export = orjson.dumps(chat(message(1, "TEXT"), message(2, 'next "one"\n')))
    (served,) = load_export(save(export.replace(b"TEXT", written)))
    assert [m.message for m in served.messages(0, 9, inf)] == [meant, 'next "one"\n']
    (reported,) = [record.args for record in caplog.records]
    assert reported


def test_a_fault_behind_a_repair_is_shown_where_it_is(save: Save) -> None:
    content = rb'{"a": "\x01\x02", "b": oops}'
    assert str(content.index(b"oops")) in refused(save(content))
    assert str(len(content) - 1) in refused(save(content[:-1], "cut"))


def test_chats_of_unknown_types_are_passed_over_with_their_number(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    odd = [chat(message(), kind="telepathy", bare_id=n) for n in (3, 4)]
    broken: list[Any] = [
        {},
        5,
        chat(bare_id=-5),
        chat(message(), bare_id=1),
        {**chat(), "id": True},
        {**chat(), "type": []},
    ]
    good = [chat(message(), bare_id=1), chat(message(), kind="verification_codes", bare_id=2)]
    world = exported_world([save(account(*odd, *good, *broken, left_chats=None))])
    assert set(world.chats) == {-1_000_000_000_001, 2}
    (reported,) = [record.getMessage() for record in caplog.records if "telepathy" in record.getMessage()]
    assert "2 chats" in reported


ODD_MESSAGES: list[Any] = [
    *(5, None, "text", [], message(0), {**message(), "id": True}, {**message(), "id": "7"}, message(1 << 40), {}),
    *(message(3, 5), message(3, [{"type": "bold"}]), message(date=None, date_unixtime=None)),
    *(message(3, date="soon", date_unixtime="²"), message(3, date="9999-12-31", date_unixtime="9" * 30)),
    message(3, date="2020-07-01T00:30:00", date_unixtime=None),
]


@pytest.mark.parametrize("odd", ODD_MESSAGES, ids=repr)
def test_one_odd_message_costs_that_one_only(save: Save, caplog: pytest.LogCaptureFixture, odd: Any) -> None:
    (served,) = load_export(save(chat(message(1), odd, message(9))))
    assert [m.id for m in served.messages(0, 9, inf)] == [1, 9]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_message_of_an_unknown_type_is_served_with_what_is_known(
    save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    (served,) = load_export(save(chat(message(1, "hi", type="hologram"), message(2, "", type="unsupported"))))
    first, second = served.messages(0, 9, inf)
    assert (first.message, type(second.media)) == ("hi", tl.MessageMediaUnsupported)
    (reported,) = [record.getMessage() for record in caplog.records]
    assert "hologram" in reported
