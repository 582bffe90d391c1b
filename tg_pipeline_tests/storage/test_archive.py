"""The contract of `contracts.archive.Archive`, held by every implementation: add one to ARCHIVES."""

import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from upath import UPath

from tg_pipeline.contracts.archive import Archive, Verdict
from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.days import DayRange, day_of
from tg_pipeline.contracts.errors import InputError, StorageError, WrongAccount
from tg_pipeline.contracts.findings import FindingKind
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.storage.samples import CHAT_ID, DAY, LATER, PEOPLE, SLUG, commit, record

ARCHIVES: Mapping[str, Callable[[Path], Archive]] = {
    "a directory": lambda scratch: FileArchive(UPath(scratch / "data"), scratch / "locks"),
    "a URL": lambda scratch: FileArchive(UPath(f"memory://{uuid.uuid4().hex}/archive"), scratch / "locks"),
}
NEXT = DAY + timedelta(days=1)
TODAY = day_of(LATER) + timedelta(days=9)


@pytest.fixture(params=ARCHIVES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    return ARCHIVES[request.param](tmp_path)


def texts(archive: Archive, day: object = DAY) -> dict[int, tuple[str, bool]]:
    messages = archive.load(SLUG, DAY if day is DAY else NEXT).messages
    return {message.id: (message.text, message.deleted) for message in messages}


def kinds(archive: Archive, **held_to: object) -> set[FindingKind]:
    return {finding.kind for finding in archive.verify_chat(SLUG, today=TODAY, **held_to)}  # type: ignore[arg-type]


def test_a_whole_read_is_archived_listed_and_valid(archive: Archive, scratch: Path) -> None:
    done = commit(archive, scratch, [record(3), record(5)])
    assert (done.day, done.message_count, done.first_message_id, done.last_message_id) == (DAY, 2, 3, 5)
    assert (done.added, done.sealed, done.changed) == (2, True, True)
    assert (list(archive.slugs()), list(archive.days(SLUG))) == ([SLUG], [DAY])
    assert [orjson.loads(line)["id"] for line in archive.lines(SLUG, DAY)] == [3, 5]
    header = archive.header(SLUG, DAY)
    assert header is not None
    assert (header.chat_id, header.content_sha256) == (CHAT_ID, done.content_sha256)
    assert not list(archive.verify_day(SLUG, DAY))
    assert not kinds(archive)
    assert not list(archive.verify_rest(today=TODAY))


def test_the_same_read_again_changes_nothing(archive: Archive, scratch: Path) -> None:
    first = commit(archive, scratch, [record(3)])
    again = commit(archive, scratch, [record(3)])
    assert (again.changed, again.added, again.content_sha256) == (False, 0, first.content_sha256)
    assert archive.receipt(SLUG, DAY).content_sha256 == first.content_sha256


def test_a_whole_read_says_that_what_it_lacks_is_gone(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1), record(2), record(3)])
    done = commit(archive, scratch, [record(1), record(3, "changed"), record(4)], now=LATER)
    assert (done.added, done.edited, done.deleted) == (1, 1, 1)
    assert {number: deleted for number, (_, deleted) in texts(archive).items()} == {1: 0, 2: 1, 3: 0, 4: 0}
    assert archive.count_before(SLUG, DAY, 4) == 2
    assert archive.count_before(SLUG, DAY, None) == 3


def test_an_addition_says_nothing_of_the_rest(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1), record(2)])
    done = archive.amend(SLUG, CHAT_ID, DAY, [record(7)], PEOPLE)
    assert (done.added, done.deleted, done.sealed) == (1, 0, True)
    assert {number: deleted for number, (_, deleted) in texts(archive).items()} == {1: 0, 2: 0, 7: 0}


def test_an_addition_makes_a_day_that_is_not_whole(archive: Archive) -> None:
    archive.amend(SLUG, CHAT_ID, DAY, [record(7)], PEOPLE)
    assert kinds(archive) == {FindingKind.UNSEALED}


def test_a_sealed_day_stays_sealed_unless_it_is_unsealed(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1)])
    assert commit(archive, scratch, [record(1)], sealed=False).sealed
    unsealed = archive.seal(SLUG, DAY, sealed=False)
    assert unsealed is not None
    assert not unsealed.sealed
    assert archive.seal(SLUG, NEXT, sealed=True) is None


def test_what_is_not_visible_is_not_gone(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1), record(2)])
    hidden = Condition(kind="not_visible", first_id=2)
    assert commit(archive, scratch, [record(2)], now=LATER, conditions=[hidden]).deleted == 0
    assert kinds(archive) == {FindingKind.NOT_VISIBLE}


@pytest.mark.parametrize(
    ("verdict", "left"), [(Verdict.DELETED, {1, 2}), (Verdict.HELD_BACK, set()), (Verdict.UNDECIDED, set())]
)
def test_who_reads_judges_what_is_lacking(archive: Archive, scratch: Path, verdict: Verdict, left: set[int]) -> None:
    commit(archive, scratch, [record(1), record(2)])
    done = commit(archive, scratch, [record(9)], now=LATER, judge=lambda *_: verdict)
    assert {number for number, (_, deleted) in texts(archive).items() if deleted} == left
    assert done.undecided == (verdict is Verdict.UNDECIDED)
    assert (9 in texts(archive)) == (not done.undecided)
    assert any(c.kind == "held_back" for c in done.conditions) == (verdict is Verdict.HELD_BACK)


def test_accepted_deletions_are_not_judged(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1)])
    judge = lambda *_: Verdict.HELD_BACK  # noqa: E731 - it stands where it is used
    assert commit(archive, scratch, [], now=LATER, judge=judge, accept_deletions=True).deleted == 1


def test_what_a_read_does_not_cover_is_not_gone(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1), record(2)])
    assert commit(archive, scratch, [record(1)], now=LATER, covers=lambda number: number < 2).deleted == 0


def test_another_accounts_view_is_left_as_it_is(archive: Archive, scratch: Path) -> None:
    first = commit(archive, scratch, [record(1)], account=7)
    with pytest.raises(WrongAccount):
        commit(archive, scratch, [record(2)], account=8)
    with pytest.raises(WrongAccount):
        archive.amend(SLUG, CHAT_ID, DAY, [record(2)], PEOPLE, account=8)
    assert archive.receipt(SLUG, DAY).content_sha256 == first.content_sha256


def test_a_day_goes_out_and_comes_back(archive: Archive, scratch: Path) -> None:
    first = commit(archive, scratch, [record(1), record(2, reply_to=1)])
    document = archive.load(SLUG, DAY)
    commit(archive, scratch, [record(1), record(2, "other", reply_to=1)])
    assert archive.replace(document).content_sha256 == first.content_sha256
    assert not list(archive.verify_day(SLUG, DAY))


def test_a_pointer_past_what_is_archived_is_found(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1)])
    archive.advance(SLUG, NEXT, 9)
    archive.amend(SLUG, CHAT_ID, NEXT, [record(4, day=NEXT)], PEOPLE)
    assert kinds(archive) == {FindingKind.UNSEALED}
    archive.advance(SLUG, NEXT, 9)
    assert kinds(archive) == {FindingKind.UNSEALED, FindingKind.PROGRESS}
    assert FindingKind.PROGRESS not in kinds(archive, interrupted=[DayRange(DAY, NEXT)])


def test_days_that_must_be_there_are_missed(archive: Archive, scratch: Path) -> None:
    commit(archive, scratch, [record(1)])
    assert kinds(archive, days=DayRange(DAY, NEXT)) == {FindingKind.MISSING}
    seen: list[object] = []
    assert not kinds(archive, on_day=seen.append)
    assert seen == [DAY]


def test_a_day_that_is_not_there(archive: Archive) -> None:
    assert archive.header(SLUG, DAY) is None
    assert archive.written_at(SLUG, DAY) is None
    assert not list(archive.days(SLUG))
    for read in (archive.receipt, archive.load, lambda slug, day: list(archive.lines(slug, day))):
        with pytest.raises(StorageError):
            read(SLUG, DAY)
    assert [f.kind for f in archive.verify_day(SLUG, DAY)] == [FindingKind.MISSING]


@pytest.mark.parametrize("slug", ["../x", "", "A"])
def test_a_name_that_is_no_slug_is_refused(archive: Archive, scratch: Path, slug: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: archive.header(slug, DAY),
        lambda: list(archive.days(slug)),
        lambda: archive.where(slug),
        lambda: archive.amend(slug, CHAT_ID, DAY, [record(1)], PEOPLE),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        FileArchive(UPath(tmp_path / "file" / "data")).check_writable()


def test_receipts_name_the_place(archive: Archive, scratch: Path) -> None:
    archive.check_writable()
    assert archive.where(SLUG).startswith(archive.where())
    assert archive.where(SLUG, DAY).startswith(archive.where(SLUG))
    assert commit(archive, scratch, [record(1)]).path == archive.where(SLUG, DAY)
