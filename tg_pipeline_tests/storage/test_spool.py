import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline_tests.storage.full_disk import run_on_full_disk
from tg_pipeline_tests.storage.samples import PEOPLE, fill, person, record


def ids(spool: DaySpool) -> list[int]:
    return [orjson.loads(line)["id"] for line in spool.lines()]


def test_what_was_appended_is_there_in_order(tmp_path: Path) -> None:
    with DaySpool(tmp_path, "d") as spool:
        assert (spool.message_count, spool.first_id, spool.last_id) == (0, None, None)
        spool.append([record(3), record(5)], PEOPLE)
        spool.append([record(9, "три")], PEOPLE)
        assert (spool.message_count, spool.first_id, spool.last_id) == (3, 3, 9)
        assert [orjson.loads(line) for line in spool.lines()] == [record(3).body, record(5).body, record(9, "три").body]


def test_a_killed_process_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    """No close: the bytes are with the operating system already."""
    spool = DaySpool(tmp_path, "d")
    spool.append([record(3, reply_to=1), record(5, from_id=8)], {77: person(77), 8: person(8)})
    with DaySpool(tmp_path, "d") as again:
        assert (again.message_count, again.last_id, ids(again)) == (2, 5, [3, 5])
        assert sorted(again.participants()) == [8, 77]
        assert list(again.index.thread_lines()) == list(spool.index.thread_lines()) != []
    spool.close()


def test_a_spool_cut_at_any_byte_goes_on_from_its_last_whole_message(tmp_path: Path) -> None:
    with DaySpool(tmp_path / "whole", "d") as spool:
        fill(spool, [record(n, "é" * n) for n in (1, 2, 3)], page=1)
    text = (tmp_path / "whole" / "d.messages").read_bytes()
    ends = [n for n, byte in enumerate(text, 1) if byte == ord("\n")]
    for size in range(len(text)):
        cut = tmp_path / str(size)
        cut.mkdir()
        (cut / "d.messages").write_bytes(text[:size])
        with DaySpool(cut, "d") as spool:
            kept = [n for n in (1, 2, 3) if ends[n - 1] <= size]
            assert ids(spool) == kept
            spool.append([record(n, "é" * n) for n in (1, 2, 3) if n not in kept], PEOPLE)
        assert (cut / "d.messages").read_bytes() == text


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"\0" * 10 + text[10:],
        lambda text: text.replace(b'"id":2', b'"no":2'),
        lambda text: text.replace(b'"id":2', b'"id":1'),
        lambda text: b"7\n" + text,
        lambda text: b'{"id":"x","from_id":null}\n' + text,
        lambda text: text.replace(b'"from_id":77', b'"from_id":"77"'),
    ],
    ids=["zeros", "no id", "repeated", "not an object", "an id that is text", "an author that is text"],
)
def test_a_spool_damaged_before_its_end_starts_over(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with DaySpool(tmp_path, "d") as spool:
        fill(spool, [record(1), record(2), record(3)])
        assert not spool.started_over
    path = tmp_path / "d.messages"
    path.write_bytes(damage(path.read_bytes()))
    with DaySpool(tmp_path, "d") as spool:
        assert (spool.started_over, spool.message_count, spool.last_id, ids(spool)) == (True, 0, None, [])
        assert "damaged" in caplog.text
        spool.append([record(1)], PEOPLE)
        assert ids(spool) == [1]


def test_a_torn_participant_costs_no_message(tmp_path: Path) -> None:
    with DaySpool(tmp_path, "d") as spool:
        fill(spool, [record(1)])
    path = tmp_path / "d.participants"
    path.write_bytes(path.read_bytes()[:-5])
    with DaySpool(tmp_path, "d") as spool:
        assert (spool.message_count, spool.participants()) == (1, {})


def test_stragglers_take_their_place(tmp_path: Path) -> None:
    with DaySpool(tmp_path, "d") as spool:
        spool.append([record(10), record(20), record(15)], PEOPLE)
        spool.append([record(5), record(30)], PEOPLE)
        assert ids(spool) == [5, 10, 15, 20, 30]
        assert (spool.first_id, spool.last_id, spool.message_count) == (5, 30, 5)
    with DaySpool(tmp_path, "d") as spool:
        assert ids(spool) == [5, 10, 15, 20, 30]
        with pytest.raises(ValueError, match="15"):
            spool.append([record(15)], PEOPLE)


@pytest.mark.parametrize("again", [[7], [5], [6, 6], [8, 7]])
def test_an_id_that_is_there_is_refused_and_nothing_is_added(tmp_path: Path, again: list[int]) -> None:
    with DaySpool(tmp_path, "d") as spool:
        spool.append([record(5), record(7)], PEOPLE)
        with pytest.raises(ValueError, match="already"):
            spool.append([record(n) for n in again], PEOPLE)
        assert ids(spool) == [5, 7]
        spool.append([record(6)], PEOPLE)
        assert ids(spool) == [5, 6, 7]


def test_only_those_who_wrote_are_kept_as_first_described(tmp_path: Path) -> None:
    with DaySpool(tmp_path, "d") as spool:
        spool.append(
            [record(1, from_id=8), record(2, from_id=None), record(3, from_id=9)], {8: person(8), 5: person(5)}
        )
        spool.append([record(4, from_id=8)], {8: person(8, "Renamed")})
        found = {number: orjson.loads(line) for number, line in spool.participants().items()}
    assert found == {8: person(8)}


def test_text_that_json_cannot_hold_loses_no_message(tmp_path: Path) -> None:
    """A lone surrogate becomes U+FFFD, one UTF-16 unit like itself; a pair becomes its character; controls stay."""
    text = "a\ud83d b\ud83d\ude00 \0\x1b"
    with DaySpool(tmp_path, "d") as spool:
        spool.append([record(1, text, media={"size": 2**70, "raw": b"x", "ok": [1.5, None, True, ("é",)]})], PEOPLE)
        body = orjson.loads(next(spool.lines()))
    assert body["text"] == "a\ufffd b\U0001f600 \0\x1b"
    assert body["media"] == {"size": str(2**70), "raw": "b'x'", "ok": [1.5, None, True, ["é"]]}


def test_a_full_disk_is_a_sentence_and_leaves_whole_messages(tmp_path: Path) -> None:
    said = run_on_full_disk(
        """
        from pathlib import Path
        from tg_pipeline_tests.storage.samples import PEOPLE, record
        from tg_pipeline.storage.spool import DaySpool
        with DaySpool(Path(sys.argv[1]), "d") as spool:
            for n in range(1, 1000):
                try:
                    spool.append([record(n, "x" * 90)], PEOPLE)
                except StorageError as error:
                    print(error, spool.message_count)
                    break
        """,
        tmp_path,
    )
    count = int(said.split()[-1])
    assert re.search(r"/d\.messages .*File too large\.", said)
    with DaySpool(tmp_path, "d") as spool:
        assert ids(spool) == list(range(1, count + 1))


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(StorageError, match=os.strerror(errno.ENOTDIR)):
        DaySpool(tmp_path / "spool" / "x", "d")
