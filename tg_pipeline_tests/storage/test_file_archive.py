import errno
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from upath import UPath

from tg_pipeline.contracts.day_file import SCHEMA_VERSION, DayFile
from tg_pipeline.contracts.days import utc_text
from tg_pipeline.contracts.errors import DayFileError, InputError, StorageError, WrongAccount
from tg_pipeline.contracts.history import Record
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline_tests.storage.full_disk import run_on_full_disk
from tg_pipeline_tests.storage.samples import CHAT_ID, DAY, LATER, NOW, PEOPLE, SLUG, commit, fill, person, record

OLDER_VERSIONS = Path(__file__).parent / "older_versions"
"""A day file of each schema version that was ever released, as `<version>.json`."""
LEFT_ALONE = "left as it was: nothing was added"

EXPECTED = b"""{
"schema_version":"1.1.0",
"source":"telegram",
"chat":"durov",
"chat_id":-1001006503122,
"account":null,
"date":"2025-03-14",
"timezone":"UTC",
"sealed":true,
"message_count":2,
"first_message_id":3,
"last_message_id":5,
"conditions":[],
"content_sha256":"%b",
"messages":[
%b,
%b
],
"threads":[
{"id":3,"topic":false,"message_count":1,"first_message_id":5,"last_message_id":5}
],
"participants":[
{"id":77,"kind":"user","name":"Pavel","username":null}
]
}
"""


def texts(store: FileArchive, day: date = DAY) -> dict[int, str]:
    return {message.id: message.text for message in store.load(SLUG, day).messages}


def test_the_bytes_are_those_of_the_documented_layout(store: FileArchive, scratch: Path) -> None:
    first, second = orjson.dumps(record(3).body), orjson.dumps(record(5, "это", reply_to=3).body)
    done = commit(store, scratch, [record(3), record(5, "это", reply_to=3)])
    thread = b'{"id":3,"topic":false,"message_count":1,"first_message_id":5,"last_message_id":5}'
    people = b'{"id":77,"kind":"user","name":"Pavel","username":null}'
    digest = hashlib.sha256(b"".join(line + b"\n" for line in (first, second, thread, people))).hexdigest()
    path = store.path(SLUG, DAY)
    assert path.read_bytes() == EXPECTED % (digest.encode(), first, second)
    assert str(path).endswith("/data/durov/2025/discussions_2025-03-14.json")
    assert (done.day, done.path, done.content_sha256, done.size_bytes) == (DAY, str(path), digest, path.stat().st_size)
    assert (done.message_count, done.first_message_id, done.last_message_id, done.sealed) == (2, 3, 5, True)
    assert (done.added, done.edited, done.deleted, done.changed) == (2, 0, 0, True)


def test_a_day_without_messages_is_a_file_that_says_so(store: FileArchive, scratch: Path) -> None:
    done = commit(store, scratch, [])
    assert (done.message_count, done.first_message_id, done.last_message_id) == (0, None, None)
    assert json.loads(store.path(SLUG, DAY).read_bytes())["messages"] == []
    assert store.load(SLUG, DAY).messages == []
    assert not commit(store, scratch, []).changed


@pytest.mark.parametrize("slug", ["../x", "", "A", "a/b", ".", "a.b", "-a", "x" * 65, "a\n"])
def test_what_is_no_slug_never_becomes_a_path(store: FileArchive, slug: str) -> None:
    with pytest.raises(InputError):
        store.path(slug, DAY)
    with pytest.raises(InputError):
        list(store.days(slug))


def test_the_same_history_twice_leaves_the_file_untouched(store: FileArchive, scratch: Path) -> None:
    history = [record(n, reply_to=n // 2 or None) for n in range(1, 1_500)]
    commit(store, scratch, history)
    path = store.path(SLUG, DAY)
    os.utime(path.path, (1, 1))
    again = commit(store, scratch, history, now=LATER)
    assert (again.changed, again.added, again.edited, again.deleted) == (False, 0, 0, 0)
    assert path.stat().st_mtime == 1


def test_a_page_size_does_not_show_in_the_file(store: FileArchive, scratch: Path) -> None:
    history = [record(n, reply_to=n // 3 or None, from_id=n % 5 or None) for n in range(1, 1_200)]
    people = {n: person(n) for n in range(5)}
    one = commit(store, scratch, history, people=people, page=1_200)
    assert not commit(store, scratch, history, people=people, page=7).changed
    assert one.message_count == 1_199


def test_a_message_that_is_gone_is_kept_and_marked(store: FileArchive, scratch: Path) -> None:
    commit(
        store, scratch, [record(1), record(2, from_id=8, reply_to=1), record(3)], people={77: person(77), 8: person(8)}
    )
    done = commit(store, scratch, [record(1), record(3)], now=LATER)
    day = store.load(SLUG, DAY)
    assert [(m.id, m.deleted, m.deleted_at) for m in day.messages] == [
        (1, False, None), (2, True, utc_text(LATER)), (3, False, None),
    ]  # fmt: skip
    assert (done.deleted, done.added, done.edited, done.message_count) == (1, 0, 0, 3)
    assert [person.id for person in day.participants] == [8, 77], "who wrote a deleted message is kept"
    assert [(thread.id, thread.message_count) for thread in day.threads] == [(1, 1)]
    third = commit(store, scratch, [record(1), record(3)], now=LATER + 9)
    assert (third.changed, third.deleted) == (False, 0), "the time of the first notice stays"


def test_everything_gone_is_still_there(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(4), record(9)])
    done = commit(store, scratch, [], now=LATER)
    assert (done.message_count, done.first_message_id, done.last_message_id, done.deleted) == (2, 4, 9, 2)


def test_a_message_that_comes_back_lives_again(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1), record(2)])
    commit(store, scratch, [record(1)], now=LATER)
    done = commit(store, scratch, [record(1), record(2)], now=LATER)
    assert (done.added, done.edited, done.deleted, done.changed) == (0, 0, 0, True)
    assert not any(message.deleted or message.deleted_at for message in store.load(SLUG, DAY).messages)


def test_changed_content_is_an_edit_and_stays_one(store: FileArchive, scratch: Path) -> None:
    stamp = utc_text(NOW)
    commit(store, scratch, [record(1, "a"), record(2)])
    done = commit(store, scratch, [record(1, "b", edit_date=stamp), record(2)])
    assert (done.edited, done.changed, texts(store)) == (1, True, {1: "b", 2: "hello"})
    third = commit(store, scratch, [record(1, "b"), record(2)])
    message = store.load(SLUG, DAY).messages[0]
    assert (third.edited, third.changed, message.edited, message.edit_date) == (0, False, True, stamp)


@pytest.mark.parametrize(
    "fields",
    [{"views": 5}, {"forwards": 1}, {"replies_count": 2}, {"pinned": True}, {"edit_date": utc_text(NOW)},
     {"reactions": [{"reaction": "👍", "count": 1}]}],
)  # fmt: skip
def test_what_changes_without_an_edit_is_updated(store: FileArchive, scratch: Path, fields: dict[str, Any]) -> None:
    commit(store, scratch, [record(1)])
    done = commit(store, scratch, [record(1, **fields)])
    message = store.load(SLUG, DAY).messages[0]
    assert (done.changed, done.edited, message.edited) == (True, 0, False)
    assert message == type(message).model_validate(record(1, **fields).body)
    assert commit(store, scratch, [record(1)]).edited == 0


def test_a_field_that_is_absent_counts_as_null(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1)])
    done = commit(store, scratch, [record(1, media=None, thread_id=None, views=3)])
    assert (done.edited, done.changed) == (0, True)
    assert commit(store, scratch, [record(1, media={"type": "photo"})]).edited == 1


def test_authors_and_threads_that_only_the_file_knows_stay_in_its_lists(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1), record(2, from_id=8, reply_to=1)], people={77: person(77), 8: person(8)})
    channel = person(-1001) | {"kind": "channel"}
    commit(store, scratch, [record(1), record(2, from_id=-1001)], people={77: person(77), -1001: channel})
    day = store.load(SLUG, DAY)
    assert [person.id for person in day.participants] == [8, 77]
    assert [(thread.id, thread.first_message_id) for thread in day.threads] == [(1, 2)]
    assert list(store.verify_day(SLUG, DAY)) == []


def test_a_sealed_day_stays_sealed_and_an_open_one_is_sealed_later(store: FileArchive, scratch: Path) -> None:
    assert not commit(store, scratch, [record(1)], sealed=False).sealed
    done = commit(store, scratch, [record(1), record(2)], sealed=True)
    assert (done.sealed, done.added) == (True, 1)
    again = commit(store, scratch, [record(1), record(2)], sealed=False)
    assert (again.sealed, again.changed) == (True, False)


def test_stragglers_are_added_and_nothing_else_happens(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1), record(5)])
    people = {9: person(9)}
    done = store.amend(SLUG, CHAT_ID, DAY, [record(3, "late", from_id=9, reply_to=1), record(7)], people)
    day = store.load(SLUG, DAY)
    assert [(m.id, m.deleted) for m in day.messages] == [(1, False), (3, False), (5, False), (7, False)]
    assert (done.added, done.deleted, done.edited, done.message_count, done.sealed) == (2, 0, 0, 4, True)
    assert ([p.id for p in day.participants], [t.id for t in day.threads]) == ([9, 77], [1])
    assert not store.amend(SLUG, CHAT_ID, DAY, [record(3, "late", from_id=9, reply_to=1)], people).changed
    assert store.amend(SLUG, CHAT_ID, DAY, [record(3, "later", from_id=9, reply_to=1)], people).edited == 1


def test_a_person_stays_as_first_described_so_that_a_new_name_changes_no_old_day(
    store: FileArchive, scratch: Path
) -> None:
    commit(store, scratch, [record(1)], people={77: person(77, "Old")})
    for people in ({77: person(77, "New")}, {}):
        assert not commit(store, scratch, [record(1)], people=people).changed
    assert store.load(SLUG, DAY).participants[0].name == "Old"


def test_a_person_without_a_name_is_described_by_the_next_read(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1)], people={77: person(77) | {"name": None}})
    commit(store, scratch, [record(1)], people={77: person(77, "Ann")})
    assert store.load(SLUG, DAY).participants[0].name == "Ann"


def test_threads_come_from_roots_in_this_chat(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [
        record(10, reply_to=2), record(11, reply_to=10, thread_id=2), record(12, reply_to=1, topic=True, thread_id=1),
        record(13, reply_to=5, reply_to_chat=-1005), record(14, reply_to=2),
    ])  # fmt: skip
    assert [thread.model_dump() for thread in store.load(SLUG, DAY).threads] == [
        {"id": 1, "topic": True, "message_count": 1, "first_message_id": 12, "last_message_id": 12},
        {"id": 2, "topic": False, "message_count": 3, "first_message_id": 10, "last_message_id": 14},
    ]


def broken(text: bytes) -> dict[str, bytes]:
    lines = text.split(b"\n")
    second = lines.index(b'"messages":[') + 2 if b'"messages":[' in lines else 0
    return {
        "empty": b"",
        "not JSON": b"hello",
        "a list": b"[]",
        "another document": b'{"name":"export","messages":[]}',
        "messages of text": b'{"messages":["a"],"threads":[],"participants":[]}',
        "half of it": text[: len(text) // 2],
        "last byte": text[:-2],
        "more after it": text + b"{}",
        "a message less": b"\n".join(lines[:second] + lines[second + 1 :]),
        "a message more": b"\n".join(
            [*lines[:second], lines[second - 1].replace(b'"id":1', b'"id":2'), *lines[second:]]
        ),
        "a comma less": text.replace(b"},\n{", b"}\n{", 1),
        "another text": text.replace(b"hello", b"hullo", 1),
        "out of order": text.replace(b'{"id":2,', b'{"id":1,'),
        "no threads": text.replace(b'"threads":[\n', b'"treads":[\n'),
        "newer version": text.replace(b'"1.1.0"', b'"9.0.0"'),
        "another chat": text.replace(b'"chat":"durov",\n', b'"chat":"other",\n'),
        "another id": text.replace(b'"chat_id":-1001', b'"chat_id":-2001'),
        "another day": text.replace(b'"date":"2025-03-14",', b'"date":"2025-03-15",'),
        "another count": text.replace(b'"message_count":3', b'"message_count":4'),
        "no hash": text.replace(b'"content_sha256":"', b'"content_sha256":"x'),
        "latin-1": text.replace(b"hello", b"\xe9\xe9llo", 1),
    }


@pytest.mark.parametrize("kind", broken(b"\n" * 20))
def test_a_file_that_is_none_is_named_and_left_alone(store: FileArchive, scratch: Path, kind: str) -> None:
    history = [record(1, reply_to=1), record(2), record(3)]
    commit(store, scratch, history)
    path = store.path(SLUG, DAY)
    damaged = broken(path.read_bytes())[kind]
    path.write_bytes(damaged)
    with pytest.raises(DayFileError, match=f"^{path} .*{LEFT_ALONE}"):
        commit(store, scratch, history)
    with pytest.raises(DayFileError, match=str(path)):
        store.amend(SLUG, CHAT_ID, DAY, history, PEOPLE)
    assert path.read_bytes() == damaged
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["half of it", "another text", "a message less", "no hash", "another count"])
def test_a_damaged_file_is_never_read_as_a_whole_one(store: FileArchive, scratch: Path, kind: str) -> None:
    commit(store, scratch, [record(1, reply_to=1), record(2), record(3)])
    path = store.path(SLUG, DAY)
    path.write_bytes(broken(path.read_bytes())[kind])
    with pytest.raises(DayFileError):
        list(store.lines(SLUG, DAY))
    with pytest.raises(DayFileError):
        store.load(SLUG, DAY)


def test_a_reformatted_file_is_read_and_put_back_into_shape(store: FileArchive, scratch: Path) -> None:
    history = [record(n, reply_to=1) for n in range(1, 9)]
    commit(store, scratch, history)
    path = store.path(SLUG, DAY)
    before, text = store.load(SLUG, DAY), path.read_bytes()
    path.write_text(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    assert store.load(SLUG, DAY) == before
    assert store.header(SLUG, DAY) == store.header(SLUG, DAY)
    assert [orjson.loads(line)["id"] for line in store.lines(SLUG, DAY)] == list(range(1, 9))
    done = commit(store, scratch, history)
    assert (done.changed, done.added, done.deleted, path.read_bytes()) == (True, 0, 0, text)


@pytest.mark.parametrize("path", sorted(OLDER_VERSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_a_file_of_an_older_version_is_brought_up_to_date(store: FileArchive, scratch: Path, path: Path) -> None:
    """A day that the release of that schema version wrote is read as it is, and rewritten by the next commit."""
    kept = store.path(SLUG, DAY)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(path.read_bytes())
    header = store.header(SLUG, DAY)
    assert header is not None
    assert header.schema_version == SCHEMA_VERSION
    before = [message.model_dump() for message in store.load(SLUG, DAY).messages]
    assert list(store.verify_day(SLUG, DAY)) == []
    done = commit(store, scratch, [Record(m["id"], 0, m) for m in map(orjson.loads, store.lines(SLUG, DAY))])
    assert (done.changed, done.edited, done.deleted) == (True, 0, 0)
    assert orjson.loads(kept.read_bytes())["schema_version"] == SCHEMA_VERSION
    assert [message.model_dump() for message in store.load(SLUG, DAY).messages] == before


def test_a_message_that_breaks_the_schema_is_named(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1, views="many")])
    with pytest.raises(DayFileError, match=r"messages\.0\.views") as caught:
        store.load(SLUG, DAY)
    assert LEFT_ALONE not in str(caught.value), "nothing was to be written"


def test_a_day_that_is_not_there(store: FileArchive) -> None:
    assert store.header(SLUG, DAY) is None
    for read in (lambda: store.load(SLUG, DAY), lambda: list(store.lines(SLUG, DAY))):
        with pytest.raises(StorageError, match="durov has no day file for 2025-03-14"):
            read()


def test_days_and_chats_are_listed_in_order(store: FileArchive, scratch: Path) -> None:
    assert (list(store.slugs()), list(store.days(SLUG))) == ([], [])
    days = [date(2024, 12, 31), DAY, DAY + timedelta(days=1)]
    for day in reversed(days):
        commit(store, scratch, [record(1, day=day)], day=day)
    for name in ("discussions_2025-02-30.json", "discussions_2024-01-01.json", "notes.txt"):
        (store.root / SLUG / "2025" / name).touch()
    (store.root / "progress.json").touch()
    (store.root / "2025").touch()
    assert (list(store.slugs()), list(store.days(SLUG))) == ([SLUG], days)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: Path(path).symlink_to("/nowhere")])
def test_what_is_no_file_where_the_file_should_be_is_a_sentence(
    store: FileArchive, scratch: Path, make: Callable[[str], None]
) -> None:
    path = store.path(SLUG, DAY)
    path.parent.mkdir(parents=True)
    make(path.path)
    with pytest.raises(DayFileError, match=str(path)):
        commit(store, scratch, [record(1)])


def test_a_version_that_is_no_text_is_a_sentence(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1)])
    path = store.path(SLUG, DAY)
    path.write_bytes(path.read_bytes().replace(b'"schema_version":"1.1.0"', b'"schema_version":["x"]'))
    with pytest.raises(DayFileError, match="schema_version"):
        commit(store, scratch, [record(1)])


def test_a_full_disk_leaves_the_file_that_was_there(store: FileArchive, scratch: Path, tmp_path: Path) -> None:
    commit(store, scratch, [record(1), record(2)])
    text = store.path(SLUG, DAY).read_bytes()
    said = run_on_full_disk(
        """
        from pathlib import Path
        from upath import UPath
        from tg_pipeline.storage.file_archive import FileArchive
        from tg_pipeline.contracts.day_lines import encode
        from tg_pipeline_tests.storage.samples import commit, record
        root = Path(sys.argv[1])
        size = len(encode(record(100).body)) + 1
        history = [record(n) for n in range(100, 100 + 10_000 // size)]  # fills a spool, not its day file
        try:
            commit(FileArchive(UPath(root / "data")), root / "other", history)
        except StorageError as error:
            print(error)
        """,
        tmp_path,
    )
    assert said.startswith(f"{store.path(SLUG, DAY)} ")
    assert os.strerror(errno.EFBIG) in said
    assert store.path(SLUG, DAY).read_bytes() == text
    assert len(list(store.path(SLUG, DAY).parent.iterdir())) == 1


def test_an_archive_may_lie_behind_any_url(tmp_path: Path) -> None:
    root = UPath(f"memory://{uuid.uuid4().hex}/archive")
    store = FileArchive(root)
    history = [record(n) for n in range(1, 1_001)]
    commit(store, tmp_path / "s", history)
    assert not commit(store, tmp_path / "s", history).changed
    assert commit(store, tmp_path / "s", history[:-1], now=LATER).deleted == 1
    assert isinstance(store.load(SLUG, DAY), DayFile)
    assert (list(store.slugs()), list(store.days(SLUG))) == ([SLUG], [DAY])
    local = FileArchive(UPath(tmp_path / "local"))
    commit(local, tmp_path / "s", history)
    commit(local, tmp_path / "s", history[:-1], now=LATER)
    assert local.path(SLUG, DAY).read_bytes() == store.path(SLUG, DAY).read_bytes()
    root.fs.rm(root.path, recursive=True)


def test_ids_in_any_order_make_the_same_file(store: FileArchive, scratch: Path) -> None:
    history = [record(n) for n in range(1, 301)]
    commit(store, scratch, history)
    with DaySpool(scratch / "other", "d") as spool:
        fill(spool, history[200:] + history[:200][::-1])
        assert not store.commit(SLUG, CHAT_ID, DAY, spool, sealed=True, now=NOW).changed


def test_a_file_of_another_account_is_refused_with_what_to_do(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(10)], account=5001)
    with pytest.raises(WrongAccount) as refused:
        commit(store, scratch, [record(7)], account=5002)
    said = (
        "durov on 2025-03-14 is archived as account 5001 sees it, and was read with account 5002; the file was left as"
    )
    assert str(refused.value).startswith(f"{said} it was. ")
