import errno
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import orjson
import pytest

from tg_pipeline.contracts.days import DayRange, day_start
from tg_pipeline.contracts.errors import InputError, LeaseUnavailable, StorageError
from tg_pipeline.storage.journal import interrupted_ranges
from tg_pipeline.storage.request import RESUME_TTL, PendingRequest
from tg_pipeline_tests.storage.samples import DAY, NOW, PEOPLE, SLUG, record

RANGE = DayRange(date(2025, 3, 13), date(2025, 3, 16))
START = day_start(DAY)
CHAT_ID = -1_000_000_000_077
JOURNAL = "2025-03-13_2025-03-16.journal"
TAIL = DayRange(DAY, RANGE.last)
"""What is left of RANGE once its first day is archived."""


def open_request(root: Path, *, now: int = NOW, days: DayRange = RANGE, chat_id: int = CHAT_ID) -> PendingRequest:
    return PendingRequest.open(root, SLUG, days, chat_id=chat_id, now=now)


def worked_on(root: Path, *, at: int) -> None:
    """Date every sign of life."""
    for path in root.rglob("*"):
        os.utime(path, (at, at))


def test_a_new_request_begins_with_nothing(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        assert (request.resumed, request.committed, request.covered) == (False, set(), set())
        assert request.parts(DAY).message_count == 0


def test_an_interrupted_request_is_resumed(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1), record(2)], PEOPLE)
        request.spool(DAY, START + 600).append([record(9)], PEOPLE)
        request.mark_covered(START, START + 300)
        request.spool(RANGE.first, 0).append([record(5)], PEOPLE)
        request.mark_committed(RANGE.first)
    with open_request(tmp_path, now=NOW + 60) as request:
        assert request.resumed
        assert (request.committed, request.covered) == ({RANGE.first}, {(START, START + 300)})
        assert request.ids() == {DAY: {START: (1, 2), START + 600: (9, 9)}}
        assert [orjson.loads(line)["id"] for line in request.parts(DAY).lines()] == [1, 2, 9]


def test_what_was_read_of_another_chat_of_that_name_is_not_resumed(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
        request.mark_committed(RANGE.first)
    with open_request(tmp_path, chat_id=CHAT_ID - 1) as request:
        assert (request.resumed, request.committed, request.ids()) == (False, set(), {})


def test_a_day_whose_file_is_gone_is_read_from_its_beginning(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
        request.mark_covered(START, START + 300)
        request.mark_committed(DAY)
    with open_request(tmp_path) as request:
        request.reopen(DAY)
        assert (request.committed, request.covered, request.ids()) == (set(), set(), {})


def test_when_a_day_was_last_spooled_is_known(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
        request.mark_committing(RANGE.first)
    worked_on(tmp_path, at=NOW - 5)
    with open_request(tmp_path) as request:
        assert (request.spooled_at, request.committing) == ({DAY: NOW - 5}, {RANGE.first})


def test_a_finished_request_leaves_nothing(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
        request.finish()
    assert list((tmp_path / SLUG).iterdir()) == []
    with open_request(tmp_path) as request:
        assert not request.resumed


def test_spools_without_a_journal_are_not_resumed(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
    (tmp_path / SLUG / JOURNAL).unlink()  # where a kill stops `finish`
    with open_request(tmp_path) as request:
        assert (request.resumed, request.ids()) == (False, {})


def test_what_is_left_of_a_range_is_resumed(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.mark_committed(RANGE.first)
        request.spool(DAY, START).append([record(1), record(2)], PEOPLE)
        request.mark_covered(START, START + 300)
        request.mark_committed(RANGE.last)
    with open_request(tmp_path, days=TAIL) as request:
        assert request.resumed
        assert (request.committed, request.covered) == ({RANGE.last}, {(START, START + 300)})
        assert request.ids() == {DAY: {START: (1, 2)}}
        for day in set(TAIL) - request.committed:
            request.mark_committed(day)
        request.finish()
    assert list((tmp_path / SLUG).iterdir()) == [], "every day that was asked for is committed"


def test_a_request_for_some_days_leaves_the_others_of_an_interrupted_one(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.mark_committed(RANGE.first)
        request.spool(DAY, START).append([record(1)], PEOPLE)
    with open_request(tmp_path, days=DayRange(RANGE.last, RANGE.last)) as request:
        assert (request.resumed, request.ids()) == (False, {})
        request.mark_committed(RANGE.last)
        request.finish()
    assert interrupted_ranges(tmp_path, SLUG) == [RANGE]
    with open_request(tmp_path) as request:
        assert (request.committed, request.ids()) == ({RANGE.first, RANGE.last}, {DAY: {START: (1, 1)}})


def test_days_that_are_complete_are_read_again_by_a_request_for_just_them(tmp_path: Path) -> None:
    first = DayRange(RANGE.first, RANGE.first)
    with open_request(tmp_path) as request:
        request.mark_committed(RANGE.first)
    for _ in range(2):  # also where it is interrupted
        with open_request(tmp_path, days=first) as request:
            assert request.committed == set()
    with open_request(tmp_path) as request:
        assert request.committed == set()


def test_a_day_that_is_read_again_is_not_covered_by_what_was_read_before(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1), record(2)], PEOPLE)
        request.mark_covered(START, START + 300)
    with open_request(tmp_path) as request:
        request.reopen(DAY)
        request.spool(DAY, START).append([record(1)], PEOPLE)
    with open_request(tmp_path) as request:
        assert (request.covered, request.ids()) == (set(), {DAY: {START: (1, 1)}})


@pytest.mark.parametrize(("committed", "ranges"), [(0, [RANGE]), (3, [RANGE]), (4, [])])
def test_a_request_is_interrupted_until_its_last_day_is_committed(
    tmp_path: Path, committed: int, ranges: list[DayRange]
) -> None:
    with open_request(tmp_path) as request:
        for day in list(RANGE)[:committed]:
            request.mark_committed(day)
    assert interrupted_ranges(tmp_path, SLUG) == ranges
    assert interrupted_ranges(tmp_path, "other") == []


def test_a_request_is_interrupted_until_what_is_out_of_order_is_placed(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.stray_spool().append([record(1)], PEOPLE)
        request.mark_waiting(DAY)
        for day in RANGE:
            request.mark_committed(day)
        assert request.waited() == [DAY]
    assert interrupted_ranges(tmp_path, SLUG) == [RANGE]
    with open_request(tmp_path) as request:
        assert (request.waiting, request.waited()) == ({DAY}, [DAY])
        request.mark_placed()
        assert (request.waiting, request.waited()) == (set(), [])
    assert interrupted_ranges(tmp_path, SLUG) == []


def test_days_whose_messages_out_of_order_are_lost_are_read_again(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.mark_waiting(DAY)
        for day in RANGE:
            request.mark_committed(day)
    with open_request(tmp_path) as request:
        assert request.committed == set(RANGE) - {DAY}


@pytest.mark.parametrize("others", [[RANGE, TAIL], [TAIL, RANGE]])
def test_a_finished_request_ends_those_of_its_days(tmp_path: Path, others: list[DayRange]) -> None:
    for days in others:
        with open_request(tmp_path, days=days) as request:
            request.mark_committed(RANGE.first if days is RANGE else TAIL.first)
    with open_request(tmp_path) as request:
        for day in set(RANGE) - request.committed - {RANGE.last}:  # which is not over yet
            request.mark_committed(day)
        request.finish()
    assert interrupted_ranges(tmp_path, SLUG) == []


def test_a_request_knows_what_others_have_done_before_it(tmp_path: Path) -> None:
    head, tail, end = DayRange(RANGE.first, DAY), TAIL, DayRange(RANGE.last, RANGE.last)
    with open_request(tmp_path, days=head) as request:
        request.mark_committed(DAY)
    open_request(tmp_path, days=tail).close()
    for days in (head, DayRange(date(2025, 3, 15), RANGE.last), end):
        with open_request(tmp_path, days=days) as request:
            for day in set(days) - request.committed:
                request.mark_committed(day)
            request.finish()
    assert interrupted_ranges(tmp_path, SLUG) == []


@pytest.mark.parametrize(("age", "resumed"), [(RESUME_TTL - 1, True), (RESUME_TTL, False)])
def test_a_request_is_resumed_for_a_day_after_its_last_sign_of_life(tmp_path: Path, age: int, resumed: bool) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
    worked_on(tmp_path, at=NOW)
    with open_request(tmp_path, now=NOW + age) as request:
        assert (request.resumed, bool(request.ids())) == (resumed, resumed)


def test_a_run_longer_than_a_day_is_resumed_too(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
    worked_on(tmp_path, at=NOW + 2 * RESUME_TTL)
    with open_request(tmp_path, now=NOW + 2 * RESUME_TTL + 60) as request:
        assert request.resumed


def test_requests_that_nobody_will_resume_are_removed(tmp_path: Path) -> None:
    other = DayRange(DAY, DAY)
    open_request(tmp_path, days=other).close()
    worked_on(tmp_path, at=NOW)
    with open_request(tmp_path, now=NOW + RESUME_TTL):
        assert [path.name for path in (tmp_path / SLUG).iterdir()] == [JOURNAL]


def test_a_request_has_one_owner(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tg_pipeline.contracts.errors import LeaseUnavailable
from tg_pipeline_tests.storage.test_request import open_request
try:
    open_request(Path(sys.argv[1]))
except LeaseUnavailable as error:
    print(error)
"""
    with open_request(tmp_path):
        done = subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True)
        assert done.stdout == "Another process is fetching durov; try again when it has ended.\n"
        for days in (RANGE, DayRange(DAY, DAY)):
            with pytest.raises(LeaseUnavailable):
                open_request(tmp_path, days=days)
    open_request(tmp_path).close()


def test_a_journal_cut_at_any_byte_says_what_was_whole(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        for day in RANGE:
            request.mark_committed(day)
    journal = tmp_path / SLUG / JOURNAL
    text = journal.read_bytes()
    for size in range(len(text)):
        journal.write_bytes(text[:size])
        with open_request(tmp_path) as request:
            assert request.resumed == (b"\n" in text[:size])
            assert len(request.committed) == text[:size].count(b"\n") - request.resumed
            request.mark_committed(RANGE.last)
        with open_request(tmp_path) as request:
            assert RANGE.last in request.committed


@pytest.mark.parametrize(
    "text",
    [
        b"started soon\n",
        b"started 99999999999999999999 5\n",
        b"resumed 99999999999999999\n",
        b"committed 2025-02-30\n",
        b"covered 99999999999999999 1\n",
        b"covered 1 99999999999999999\n",
        b"covered 5 5\n",
        b"\xff\xfe\n",
    ],
)
def test_a_journal_that_makes_no_sense_begins_the_request_afresh(
    tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
    (tmp_path / SLUG / JOURNAL).write_bytes(text)
    with open_request(tmp_path) as request:
        assert (request.resumed, request.ids()) == (False, {})
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("name", ["x", "2025-03-14", "2025-03-14.zz", "2025-03-14.99999999999999999999"])
def test_what_is_no_spool_of_a_day_is_removed(tmp_path: Path, name: str) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1)], PEOPLE)
    (tmp_path / SLUG / f"{name}.messages").touch()
    (tmp_path / SLUG / "stray").mkdir()
    with open_request(tmp_path) as request:
        assert (request.resumed, request.ids()) == (True, {DAY: {START: (1, 1)}})
    assert len(list((tmp_path / SLUG).iterdir())) == 3


def test_a_damaged_spool_takes_its_covered_interval_back(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1), record(2)], PEOPLE)
        request.mark_covered(START, START + 300)
        request.mark_covered(START + 600, START + 900)
    (tmp_path / SLUG / f"{DAY}.{START}.messages").write_bytes(b"\0\0\n{}\n")
    with open_request(tmp_path) as request:
        assert request.covered == {(START + 600, START + 900)}
        assert request.ids() == {DAY: {START: None}}


def test_the_spool_of_a_committed_day_that_a_crash_left_is_dropped(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.mark_committed(DAY)
        request.spool(DAY, START).append([record(1)], PEOPLE)
    with open_request(tmp_path) as request:
        assert (request.committed, request.ids()) == ({DAY}, {})


def test_what_is_no_slug_never_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot name a chat's directory"):
        PendingRequest.open(tmp_path, "../x", RANGE, chat_id=CHAT_ID, now=NOW)


def test_a_spool_root_that_cannot_be_written_is_a_sentence_and_holds_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=os.strerror(errno.ENOTDIR)):
        open_request(tmp_path / "file")
    with open_request(tmp_path):
        pass
    journal = tmp_path / SLUG / JOURNAL
    (journal.parent / "2025-03-14.0.messages").mkdir()
    with pytest.raises(StorageError, match=os.strerror(errno.EISDIR)):
        open_request(tmp_path)
    journal.unlink()
    open_request(tmp_path).close()
    assert [path.name for path in journal.parent.iterdir()] == [JOURNAL]


def test_parts_that_interleave_come_out_in_order(tmp_path: Path) -> None:
    with open_request(tmp_path) as request:
        request.spool(DAY, START).append([record(1, from_id=5), record(7)], {5: PEOPLE[77] | {"id": 5}})
        request.spool(DAY, START + 60).append([record(3, reply_to=1), record(9, reply_to=1)], PEOPLE)
        parts = request.parts(DAY)
        assert [orjson.loads(line)["id"] for line in parts.lines()] == [1, 3, 7, 9]
        assert (parts.first_id, parts.last_id, parts.message_count) == (1, 9, 4)
        assert sorted(parts.participants()) == [5, 77]
        assert [orjson.loads(line)["message_count"] for line in parts.index.thread_lines()] == [2]
