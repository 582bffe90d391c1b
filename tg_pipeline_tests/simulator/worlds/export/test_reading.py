from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from telethon.tl import types as tl

from tg_pipeline.contracts.errors import InputError
from tg_pipeline.simulator.worlds.export import ExportError, exported_world, load_export
from tg_pipeline_tests.simulator.worlds.export.hand_made import chat, message, service

Save = Callable[..., Path]


def refused(path: Path) -> str:
    """The sentence with which an export is refused, without the path that it begins with."""
    with pytest.raises(ExportError) as caught:
        load_export(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(str(path))
    return sentence.removeprefix(str(path)).removeprefix("/result.json").lstrip(": ")


def test_an_export_error_is_an_input_error() -> None:
    assert issubclass(ExportError, InputError)


def test_ids_times_and_texts_come_out_as_exported(save: Save) -> None:
    texts = ["plain", "", "Ж 😀\n\n👩‍💻", "z" * 4096]
    path = save(chat(*(message(5 * n + 3, text, date_unixtime=str(1_600_000_000 + n)) for n, text in enumerate(texts))))
    (served,) = load_export(path)
    found = [(m.id, int(m.date.timestamp()), m.message) for m in served.messages(0, 99, inf)]
    assert found == [(5 * n + 3, 1_600_000_000 + n, text) for n, text in enumerate(texts)]
    assert served.username == "my_chat"


def test_the_file_itself_may_be_named(save: Save) -> None:
    path = save(chat(message()))
    (served,) = load_export(path / "result.json")
    assert served.username == "my_chat"


def test_messages_are_served_in_order_of_id_and_counted_by_time(save: Save) -> None:
    times = {7: 1_600_000_300, 2: 1_600_000_100, 5: 1_600_000_200, 6: 1_600_000_150}
    path = save(chat(*(message(number, date_unixtime=str(moment)) for number, moment in times.items())))
    (served,) = load_export(path)
    assert [m.id for m in served.messages(0, 99, inf)] == [2, 5, 6, 7]
    assert [served.size(moment) for moment in (1_600_000_099, 1_600_000_100, 1_600_000_250, inf)] == [0, 1, 3, 4]
    assert [served.rank_of_date(moment, inf) for moment in (0, 1_600_000_101, 1_600_000_201, 1_700_000_000)] == [
        0,
        1,
        3,
        4,
    ]
    assert [served.rank_of_id(number, inf) for number in (1, 2, 3, 7, 8)] == [0, 0, 1, 3, 4]
    assert served.rank_of_id(8, 1_600_000_100) == 1


@pytest.mark.parametrize(
    ("kind", "kind_of_entity", "flags"),
    [
        ("public_channel", tl.Channel, {"broadcast": True, "megagroup": None}),
        ("private_channel", tl.Channel, {"broadcast": True}),
        ("public_supergroup", tl.Channel, {"megagroup": True, "broadcast": None}),
        ("private_supergroup", tl.Channel, {"megagroup": True}),
        ("private_group", tl.Chat, {}),
        ("personal_chat", tl.User, {"bot": None}),
        ("bot_chat", tl.User, {"bot": True}),
        ("saved_messages", tl.User, {"is_self": True}),
    ],
)
def test_each_type_is_served_as_its_own_kind_of_peer(
    save: Save, kind: str, kind_of_entity: type, flags: dict[str, Any]
) -> None:
    (served,) = load_export(save(chat(message(), kind=kind, bare_id=77)))
    entity: Any = served.entity
    assert type(entity).__name__ == kind_of_entity.__name__
    assert entity.id == 77
    assert bytes(entity)
    assert {name: getattr(entity, name) for name in flags} == flags
    peer_class = {tl.Channel: tl.PeerChannel, tl.Chat: tl.PeerChat, tl.User: tl.PeerUser}[kind_of_entity]
    assert type(served.peer) is peer_class
    assert served.username == "my_chat"
    if kind_of_entity is tl.User:
        with pytest.raises(TypeError, match="full chat"):
            served.full(inf)
    else:
        assert bytes(served.full(inf))


def account(*chats: dict[str, Any], **others: Any) -> dict[str, Any]:
    """The export of an account."""
    me = {"user_id": 42, "first_name": "Ana", "last_name": "Silva", "phone_number": "+351 555 0101", "username": "@ana"}
    return {"about": "…", "personal_information": me, "chats": {"about": "…", "list": list(chats)}, **others}


def test_an_account_export_serves_all_its_chats_by_slug(save: Save) -> None:
    names = [("Team Rocket!", 1), ("Team rocket", 2), ("Команда", 3), (None, 4)]
    chats = [{**chat(message(), kind="personal_chat", bare_id=bare_id), "name": name} for name, bare_id in names]
    left = {"list": [{**chat(message(), bare_id=9), "name": "Left channel"}]}
    world = exported_world([save(account(*chats, left_chats=left))])
    assert [served.username for served in world.chats.values()] == [
        "team_rocket",
        "team_rocket_2",
        "personal_chat_3",
        "personal_chat_4",
        "left_channel",
    ]
    me = world.self_user
    assert (me.id, me.first_name, me.last_name, me.phone, me.username) == (42, "Ana", "Silva", "3515550101", "ana")
    assert me.is_self


def test_the_exporter_is_the_account_wherever_a_message_names_it(save: Save) -> None:
    (served,) = load_export(save(account(chat(message(), kind="private_group"))))
    (person,) = served.people(served.messages(0, 1, inf))
    assert (person.id, person.is_self, person.username) == (42, True, "ana")


def test_an_account_export_may_lack_personal_information(save: Save) -> None:
    world = exported_world([save({"chats": {"list": [chat(message())]}})])
    assert world.self_user.is_self
    assert len(world.chats) == 1


def test_several_exports_make_one_world(save: Save) -> None:
    world = exported_world([save(chat(message(), bare_id=n), f"chat_{n}") for n in (1, 2)], clock=lambda: 5.0)
    assert [served.username for served in world.chats.values()] == ["chat_1", "chat_2"]
    assert world.by_username("@CHAT_2") is world.chats[-1_000_000_000_002]


def test_a_chat_or_a_name_is_served_once(save: Save, tmp_path: Path) -> None:
    one = save(chat(message()))
    with pytest.raises(ExportError, match="chat -1001234567890 is in another export"):
        exported_world([one, one])
    (tmp_path / "other").mkdir()
    namesake = tmp_path / "other" / "my_chat"
    namesake.mkdir()
    (namesake / "result.json").write_bytes(orjson.dumps(chat(message(), bare_id=5)))
    with pytest.raises(ExportError, match="already serves a chat as 'my_chat'"):
        exported_world([one, namesake])


def test_time_as_a_basic_group_is_served_under_the_old_peer(save: Save) -> None:
    old = [
        message(-999_999_990, "first"),
        message(-999_999_985, "reply", reply_to_message_id=-999_999_990),
        service(-999_999_980, "migrate_to_supergroup"),
    ]
    new = [service(1, "migrate_from_group", title="My chat"), message(2, "new")]
    served, before = load_export(save(chat(*new, *old, kind="private_supergroup")))
    assert [m.id for m in served.messages(0, 9, inf)] == [1, 2]
    messages = before.messages(0, 9, inf)
    assert [m.id for m in messages] == [10, 15, 20]
    assert messages[1].reply_to.reply_to_msg_id == 10
    full = served.full(inf).full_chat
    assert (full.migrated_from_chat_id, full.migrated_from_max_id) == (before.entity.id, 20)
    assert (before.username, before.entity.migrated_to.channel_id) == (None, served.entity.id)
    assert bytes(before.full(inf))


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
    (told,) = [record.args for record in caplog.records]
    assert told


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
    (told,) = [record.getMessage() for record in caplog.records if "telepathy" in record.getMessage()]
    assert "2 chats" in told


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
    (told,) = [record.getMessage() for record in caplog.records]
    assert "hologram" in told
