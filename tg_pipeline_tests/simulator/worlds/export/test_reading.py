from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import orjson
import pytest
from telethon.tl import types as tl

from tg_pipeline.contracts.errors import InputError
from tg_pipeline.simulator.worlds.export import ExportError, exported_world, load_export
from tg_pipeline_tests.exports.hand_made import account, chat, message, service

Save = Callable[..., Path]


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
