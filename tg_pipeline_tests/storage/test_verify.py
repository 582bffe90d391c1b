import codecs
import hashlib
import re
from collections import deque
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import DayFileError
from tg_pipeline.contracts.findings import Finding, FindingKind
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline.storage.progress import Progress
from tg_pipeline.storage.request import PendingRequest
from tg_pipeline_tests.storage.samples import CHAT_ID, DAY, NOW, PEOPLE, SLUG, commit, person, record

TODAY = DAY + timedelta(days=30)
NEXT = DAY + timedelta(days=1)
LAST = NEXT + timedelta(days=1)
Document = dict[str, Any]


@pytest.fixture
def progress(store: FileArchive) -> Progress:
    return store.progress


@pytest.fixture
def archive(store: FileArchive, scratch: Path) -> FileArchive:
    """Two days, both whole and sealed."""
    for day, start in ((DAY, 1), (NEXT, 101)):
        history = [record(start + n, day=day, reply_to=start if n else None) for n in range(20)]
        commit(store, scratch, history, day=day)
    return store


def kinds(findings: list[Finding]) -> list[tuple[date | None, str]]:
    return [(finding.day, finding.kind.value) for finding in findings]


def rewrite(store: FileArchive, change: Callable[[Document], object], day: date = DAY) -> None:
    """Write the changed day in the usual layout and with a hash that fits."""
    path = store.path(SLUG, day)
    document = orjson.loads(path.read_bytes())
    change(document)
    lists = {
        name: [orjson.dumps(item) for item in document.pop(name)] for name in ("messages", "threads", "participants")
    }
    lines = [line for name in lists for line in lists[name]]
    document["content_sha256"] = hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
    head = b"".join(b'"%b":%b,\n' % (key.encode(), orjson.dumps(value)) for key, value in document.items())
    body = b",\n".join(
        b'"%b":[\n%b]' % (name.encode(), b",\n".join(items) + b"\n" if items else b"") for name, items in lists.items()
    )
    path.write_bytes(b"{\n" + head + body + b"\n}\n")


def test_an_archive_as_it_is_written_has_nothing_wrong(archive: FileArchive, progress: Progress) -> None:
    seen: list[date] = []
    assert list(archive.verify_chat(SLUG, today=TODAY, on_day=seen.append)) == []
    assert list(archive.verify_chat(SLUG, today=TODAY, days=DayRange(DAY, NEXT))) == []
    assert list(archive.verify_rest(today=TODAY)) == []
    assert seen == [DAY, NEXT]


def test_a_placeholder_of_which_the_header_says_nothing_is_found(archive: FileArchive, progress: Progress) -> None:
    rewrite(archive, lambda document: document["messages"][3].update(type="unreadable"))
    assert (DAY, "unreadable") in kinds(list(archive.verify_chat(SLUG, today=TODAY)))


def test_the_rewriting_of_these_tests_changes_nothing(archive: FileArchive) -> None:
    before = archive.path(SLUG, DAY).read_bytes()
    rewrite(archive, lambda _: None)
    assert archive.path(SLUG, DAY).read_bytes() == before


def bold(offset: int, length: int) -> Document:
    return {"type": "bold", "offset": offset, "length": length}


def put(document: Document, section: str, place: int, **fields: object) -> None:
    document[section][place].update(fields)


@pytest.mark.parametrize(
    ("kind", "detail", "change"),
    [
        ("schema", "views", lambda d: put(d, "messages", 3, views="many")),
        ("schema", "extra", lambda d: put(d, "messages", 3, extra=1)),
        ("schema", "kind", lambda d: put(d, "participants", 0, kind="robot")),
        ("schema", "2025-03-14T99:99:99Z", lambda d: put(d, "messages", 3, date="2025-03-14T99:99:99Z")),
        ("schema", "2025-02-30T00:00:00Z", lambda d: put(d, "messages", 3, edit_date="2025-02-30T00:00:00Z")),
        ("schema", "deleted is true and deleted_at is null", lambda d: put(d, "messages", 3, deleted=True)),
        ("schema", "deleted is false", lambda d: put(d, "messages", 3, deleted_at="2025-03-15T00:00:00Z")),
        (
            "entities",
            "message 4 ends at 6, and its text has 5 UTF-16 units",
            lambda d: put(d, "messages", 3, entities=[bold(2, 4)]),
        ),
        (
            "entities",
            "ends at 4, .* has 3 ",
            lambda d: put(d, "messages", 3, text="😀!", entities=[bold(0, 4)]),
        ),
        ("order", "message 1 stands after 2", lambda d: d["messages"].insert(1, d["messages"].pop(0))),
        ("repeated", "message 5 stands after 5", lambda d: put(d, "messages", 5, id=5)),
        (
            "date",
            "message 4 is dated 2025-03-13T23:59:59Z",
            lambda d: put(d, "messages", 3, date="2025-03-13T23:59:59Z"),
        ),
        ("header", "belongs to other", lambda d: put(d, "messages", 3, chat="other")),
        ("header", r"its ids are 7\.\.20; they are 1\.\.20", lambda d: d.update(first_message_id=7)),
        ("header", "it holds other", lambda d: d.update(chat="other")),
        ("header", "on 2025-03-15", lambda d: d.update(date="2025-03-15")),
        ("damaged", "holds 20 messages and says 21", lambda d: d.update(message_count=21)),
        ("damaged", ": timezone: ", lambda d: d.update(timezone="CET")),
        (
            "threads",
            '"id":9.* where the messages make it nothing$',
            lambda d: d["threads"].append(d["threads"][0] | {"id": 9}),
        ),
        ("threads", '^nothing .*"id":1', lambda d: d["threads"].clear()),
        ("threads", '"message_count":4', lambda d: put(d, "threads", 0, message_count=4)),
        ("participants", "5 wrote nothing", lambda d: d["participants"].insert(0, person(5))),
        ("participants", "77 stands after 77", lambda d: d["participants"].append(person(77))),
    ],
)
def test_one_thing_wrong_is_one_finding(
    archive: FileArchive, kind: str, detail: str, change: Callable[[Document], None]
) -> None:
    rewrite(archive, change)
    found = list(archive.verify_day(SLUG, DAY))
    first = next(finding for finding in found if finding.kind == kind)
    assert re.search(detail, first.detail)
    assert (first.slug, first.day, first.is_warning) == (SLUG, DAY, False)
    assert list(archive.verify_day(SLUG, NEXT)) == []


def test_entities_count_utf_16_units(archive: FileArchive) -> None:
    rewrite(archive, lambda d: put(d, "messages", 3, text="😀!", entities=[bold(0, 3), bold(2, 1)]))
    assert list(archive.verify_day(SLUG, DAY)) == []


def test_sentences_hold_no_bytes_of_python_and_no_promise_of_a_fetch(archive: FileArchive) -> None:
    rewrite(archive, lambda d: put(d, "messages", 3, text="привет", views="x"))
    finding = next(archive.verify_day(SLUG, DAY))
    assert finding.detail.startswith('{"id":4,"date":"2025-03-14T00:00:04Z",')
    archive.path(SLUG, DAY).write_bytes(b"{}")
    (finding,) = archive.verify_day(SLUG, DAY)
    with pytest.raises(DayFileError) as unsound:
        archive.load(SLUG, DAY)
    assert finding.detail == str(unsound.value)


def test_many_of_a_kind_are_one_finding_with_their_number(archive: FileArchive) -> None:
    rewrite(archive, lambda d: deque((message.update(views="x") for message in d["messages"]), maxlen=0))
    found = [finding for finding in archive.verify_day(SLUG, DAY) if finding.kind == FindingKind.SCHEMA]
    assert [finding.detail[-14:] for finding in found] == [" (and 19 more)"]


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:-20], lambda text: text.replace(b"hello", b"hallo", 1), lambda _: b"", lambda _: b"PK\3\4"],
    ids=["cut", "another text", "empty", "foreign"],
)
def test_a_damaged_file_is_found_and_the_others_are_read_on(
    archive: FileArchive, progress: Progress, damage: Callable[[bytes], bytes]
) -> None:
    path = archive.path(SLUG, DAY)
    path.write_bytes(damage(path.read_bytes()))
    found = list(archive.verify_chat(SLUG, today=TODAY))
    assert kinds(found) == [(DAY, "damaged")]
    assert str(path) in found[0].detail


def test_a_missing_day_is_found_between_files_and_in_the_asked_range(
    archive: FileArchive, progress: Progress, scratch: Path
) -> None:
    gap = NEXT + timedelta(days=1)
    asked = DayRange(DAY, NEXT + timedelta(days=9))
    assert kinds(list(archive.verify_chat(SLUG, today=gap, days=asked))) == [(gap, "missing")]
    commit(archive, scratch, [record(500, day=NEXT + timedelta(days=5))], day=NEXT + timedelta(days=5))
    assert kinds(list(archive.verify_chat(SLUG, today=TODAY))) == [(gap, "missing")]
    asked = DayRange(DAY - timedelta(days=1), NEXT + timedelta(days=1))
    found = list(archive.verify_chat(SLUG, today=TODAY, days=asked))
    assert kinds(found) == [(asked.first, "missing"), (gap, "missing")]
    assert kinds(list(archive.verify_day(SLUG, gap))) == [(gap, "missing")]


def test_a_gap_of_days_is_one_finding(archive: FileArchive, progress: Progress) -> None:
    asked = DayRange(DAY - timedelta(days=4), NEXT)
    found = list(archive.verify_chat(SLUG, today=TODAY, days=asked))
    assert [(f.day, f.detail) for f in found] == [(asked.first, "4 days have no file, up to 2025-03-13")]


def test_a_chat_without_files_is_fine_until_days_are_asked_for(store: FileArchive, progress: Progress) -> None:
    assert list(store.verify_chat(SLUG, today=TODAY)) == []
    assert kinds(list(store.verify_chat(SLUG, today=TODAY, days=DayRange(DAY, DAY)))) == [(DAY, "missing")]


def test_an_unsealed_day_that_is_over_is_found(store: FileArchive, progress: Progress, scratch: Path) -> None:
    commit(store, scratch, [record(1)], sealed=False)
    assert kinds(list(store.verify_chat(SLUG, today=NEXT))) == [(DAY, "unsealed")]
    assert list(store.verify_chat(SLUG, today=DAY)) == []


def test_a_day_that_is_not_over_must_not_be_sealed(archive: FileArchive, progress: Progress) -> None:
    assert kinds(list(archive.verify_chat(SLUG, today=NEXT))) == [(NEXT, "header")]
    found = list(archive.verify_chat(SLUG, today=DAY - timedelta(days=1)))
    assert kinds(found) == [(DAY, "header"), (NEXT, "header")]
    rewrite(archive, lambda d: d.update(sealed=False), NEXT)
    assert list(archive.verify_chat(SLUG, today=NEXT)) == []
    assert kinds(list(archive.verify_chat(SLUG, today=DAY))) == [(DAY, "header"), (NEXT, "header")]


def test_files_of_one_chat_carry_one_chat_id(archive: FileArchive, progress: Progress, scratch: Path) -> None:
    third = NEXT + timedelta(days=1)
    commit(archive, scratch, [record(300, day=third)], day=third)
    rewrite(archive, lambda d: d.update(chat_id=-5), DAY)
    for chat_id, day, detail in [
        (None, DAY, f"-5; that of most of the other files is {CHAT_ID}"),
        (-5, NEXT, f"{CHAT_ID}; the registered chat's is -5 (and 1 more)"),
    ]:
        found = list(archive.verify_chat(SLUG, today=TODAY, entry=registered(id=chat_id)))
        assert [(f.day, f.kind, f.detail) for f in found] == [(day, "header", f"it says that its chat_id is {detail}")]


def registered(**fields: Any) -> RegisteredChat:
    return RegisteredChat(slug=SLUG, chat="@durov", **fields)


@pytest.mark.parametrize(("field", "wrong", "right"), [("id", -7, CHAT_ID), ("account", 7, 500)])
def test_an_entry_that_no_file_agrees_with_is_what_is_wrong(
    archive: FileArchive, progress: Progress, field: str, wrong: int, right: int
) -> None:
    for day in (DAY, NEXT):
        rewrite(archive, lambda d: d.update(account=500), day)
    assert list(archive.verify_chat(SLUG, today=TODAY, entry=registered(**{field: right}))) == []
    (found,) = archive.verify_chat(SLUG, today=TODAY, entry=registered(**{field: wrong}))
    assert (found.day, found.kind) == (None, "registry")
    assert found.detail.startswith(f"chats.yaml says that its {field} is {wrong}; the day files are those of {right}: ")


@pytest.mark.parametrize("gone", [[DAY], [NEXT], [LAST], [NEXT, LAST], [DAY, NEXT, LAST]])
def test_days_that_progress_knows_are_missed(
    archive: FileArchive, progress: Progress, scratch: Path, gone: list[date]
) -> None:
    commit(archive, scratch, [], day=LAST)
    progress.commit(SLUG, LAST, None, sealed=True)
    assert list(archive.verify_chat(SLUG, today=TODAY)) == []
    for day in gone:
        archive.path(SLUG, day).unlink()
    for day in (d for d in (DAY, NEXT) if d not in gone):
        progress.commit(SLUG, day, 20, sealed=True)
    assert (gone[0], "missing") in kinds(list(archive.verify_chat(SLUG, today=TODAY)))


def test_a_chat_that_is_not_archived_from_its_beginning_has_a_warning(archive: FileArchive, progress: Progress) -> None:
    begun = registered(start=DAY)
    assert list(archive.verify_chat(SLUG, today=TODAY, entry=begun)) == []
    older = registered(start=DAY - timedelta(days=9))
    (found,) = archive.verify_chat(SLUG, today=TODAY, entry=older)
    assert (found.day, found.kind, found.is_warning) == (older.start, "not_fetched", True)
    assert f"--from {older.start} --to {DAY - timedelta(days=1)}" in found.detail
    assert list(archive.verify_chat(SLUG, today=TODAY, days=DayRange(DAY, NEXT), entry=older)) == []
    other = RegisteredChat(slug="other", chat="@other")
    (found,) = archive.verify_rest([begun, other], today=TODAY)
    assert (found.slug, found.kind, found.is_warning) == ("other", "not_fetched", True)


def test_an_id_in_two_days_is_found(archive: FileArchive, progress: Progress, scratch: Path) -> None:
    third = NEXT + timedelta(days=1)
    commit(archive, scratch, [record(n, day=third) for n in (19, 21, 110, 300)], day=third)
    progress.commit(SLUG, third, 300, sealed=True)
    found = list(archive.verify_chat(SLUG, today=TODAY))
    assert kinds(found) == [(third, "repeated"), (third, "repeated")]
    assert [finding.detail for finding in found] == [
        "1 stand on 2025-03-14 too: 19", "1 stand on 2025-03-15 too: 110",
    ]  # fmt: skip


def test_what_does_not_belong_there_is_found(archive: FileArchive, progress: Progress) -> None:
    folder = archive.path(SLUG, DAY).parent
    for path in (
        folder / "discussions_2025-02-30.json",
        folder / "discussions_2024-03-14.json",
        folder / "copy of discussions_2025-03-14.json",
        folder / ".discussions_2025-03-14.json.ab12.tmp",
        folder.parent / "notes.txt",
    ):
        path.touch()
    (folder.parent / "old").mkdir()
    found = list(archive.verify_chat(SLUG, today=TODAY))
    assert sorted(finding.kind for finding in found) == ["foreign"] * 5 + ["leftover"]
    assert [finding.kind for finding in found if finding.is_warning] == ["leftover"]
    assert all(str(archive.root) in finding.detail for finding in found)


SYSTEM_NAMES = ["@eaDir", "#recycle", "@Recycle", "lost+found", "Thumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store"]
SYSTEM_NAMES += ["$RECYCLE.BIN", "System Volume Information", ".snapshot", "~snapshot", "._discussions", ".Trash-1000"]
SYSTEM_NAMES += ["#snapshot", "@Recently-Snapshot", "aquota.user", "Icon\r", "Network Trash Folder", "THUMBS.DB"]


@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_what_a_nas_or_a_desktop_puts_everywhere_is_passed_over(
    archive: FileArchive, progress: Progress, name: str
) -> None:
    year = archive.path(SLUG, DAY).parent
    for directory in (archive.root, year.parent, year):
        (directory / name).mkdir()
        (directory / name / "SYNO@.fileindexdb").touch()
    assert list(archive.verify_rest(today=TODAY)) == []
    assert list(archive.verify_chat(SLUG, today=TODAY)) == []
    assert list(archive.slugs()) == [SLUG]


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(archive: FileArchive, progress: Progress) -> None:
    progress.commit(SLUG, DAY, 1, sealed=True)
    for path in (archive.path(SLUG, DAY), archive.root / "progress.json"):
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(archive.verify_rest(today=TODAY)) == []
    assert list(archive.verify_chat(SLUG, today=TODAY)) == []
    assert progress.problem() is None


def test_what_lies_in_the_root_is_looked_at(archive: FileArchive, progress: Progress) -> None:
    for name in ("progress.json.corrupt-1", ".progress.json.ab.tmp", "stray.json"):
        (archive.root / name).touch()
    assert sorted(f.kind for f in archive.verify_rest(today=TODAY)) == ["foreign", "leftover", "leftover"]
    (archive.root / "progress.json").write_text("{")
    assert next(archive.verify_rest(today=TODAY)).kind == "progress"


def test_a_year_of_which_nothing_could_be_written_is_not_foreign(archive: FileArchive) -> None:
    (archive.root / SLUG / "2031").mkdir()
    assert not list(archive.verify_chat(SLUG, today=TODAY))
    (archive.root / SLUG / "2031" / "notes").touch()
    assert [f.kind for f in archive.verify_chat(SLUG, today=TODAY)] == [FindingKind.FOREIGN]


def test_what_is_no_chats_directory_is_foreign_unless_it_is_hidden(archive: FileArchive, progress: Progress) -> None:
    for name in ("UPPER case", "Bad Slug", ".git"):
        (archive.root / name).mkdir()
        (archive.root / name / "discussions_2025-03-14.json").touch()
    (archive.root / ".gitignore").touch()
    (archive.root / "slug").touch()
    (archive.root / "gone").symlink_to(archive.root / "nowhere")
    found = list(archive.verify_rest(today=TODAY))
    assert {finding.kind for finding in found} == {FindingKind.FOREIGN}
    assert [finding.detail for finding in found] == [
        f"{archive.root / name} is no part of this archive" for name in ("Bad Slug", "UPPER case", "gone", "slug")
    ]


def test_a_chat_that_progress_knows_must_have_its_directory(archive: FileArchive, progress: Progress) -> None:
    progress.advance("begun", DAY, 7)
    assert list(archive.verify_rest(today=TODAY)) == [], "no day of it was committed"
    progress.commit("lost", DAY, 7, sealed=True)
    found = list(archive.verify_rest(today=TODAY))
    assert [(finding.slug, finding.day, finding.kind) for finding in found] == [
        ("lost", DAY, "missing"), ("lost", None, "progress"),
    ]  # fmt: skip
    assert found[1].detail.startswith("the high-water mark is 7; no day file holds a message: ")
    assert list(archive.verify_chat("lost", today=TODAY)) == found


def test_progress_that_points_past_the_data_is_found(archive: FileArchive, progress: Progress, tmp_path: Path) -> None:
    progress.commit(SLUG, NEXT, 999, sealed=False)
    found = list(archive.verify_chat(SLUG, today=TODAY))
    assert kinds(found) == [(None, "progress"), (NEXT, "progress")]
    assert "999" in found[0].detail


def test_an_interrupted_fetch_is_a_warning_and_explains_its_pointer(
    archive: FileArchive, progress: Progress, tmp_path: Path
) -> None:
    third = NEXT + timedelta(days=1)
    with PendingRequest.open(tmp_path / "spool", SLUG, DayRange(DAY, third), chat_id=1, now=NOW) as request:
        request.spool(third, 0).append([record(300, day=third)], PEOPLE)
    progress.advance(SLUG, third, 300)
    found = list(archive.verify_chat(SLUG, today=TODAY, interrupted=interrupted_ranges(tmp_path / "spool", SLUG)))
    assert [(f.kind.value, f.is_warning) for f in found] == [("interrupted", True)]
    assert found[0].detail == "the fetch of 2025-03-14..2025-03-16 was cut off"
    assert kinds(list(archive.verify_chat(SLUG, today=TODAY))) == [(third, "progress")]


def test_a_day_that_cannot_be_read_is_a_finding(archive: FileArchive, progress: Progress) -> None:
    path = archive.path(SLUG, DAY)
    path.unlink()
    path.mkdir()
    assert kinds(list(archive.verify_chat(SLUG, today=TODAY))) == [(DAY, "damaged")]


def test_files_of_two_accounts_in_one_chat_are_found(archive: FileArchive, progress: Progress, scratch: Path) -> None:
    later = NEXT + timedelta(days=1)
    commit(archive, scratch, [record(201, day=later)], day=later, account=5001)
    assert not list(archive.verify_chat(SLUG, today=TODAY)), "files of version 1.0.0 name no account"
    rewrite(archive, lambda d: d.update(account=5001), NEXT)
    rewrite(archive, lambda d: d.update(account=5002))
    (found,) = archive.verify_chat(SLUG, today=TODAY)
    assert (found.kind, found.day) == ("header", DAY)
    assert "account 5002 " in found.detail
    assert found.detail.endswith(" is 5001")
