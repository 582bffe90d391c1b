"""Reads of a day in any number and order against the plainest model there is: a dict of messages."""

import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from tg_pipeline.contracts.days import utc_text
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.merge import Merge
from tg_pipeline_tests.storage.samples import CHAT_ID, DAY, NOW, SLUG, commit, person, record

BODIES = st.fixed_dictionaries({
    "text": st.sampled_from(["", "a", "b\n},\n", '"]', "é\u2028"]),
    "views": st.sampled_from([None, 1, 2]),
    "from_id": st.sampled_from([None, 1, -2]),
    "reply_to": st.sampled_from([None, 1, 3]),
    "edit_date": st.sampled_from([None, utc_text(NOW)]),
    "edited": st.booleans(),
})  # fmt: skip
READS = st.dictionaries(st.integers(1, 8), BODIES, max_size=8)
PEOPLE = {1: person(1), -2: person(-2) | {"kind": "chat"}, 5: person(5)}


def text_of(old: dict[str, Any], new: dict[str, Any]) -> str:
    """That of the later read; who takes a text away leaves a date."""
    is_dated = new["edit_date"] not in {None, old["edit_date"]}
    return str(new["text"] if new["text"] or is_dated else old["text"])


def reread(archive: dict[int, dict[str, Any]], read: dict[int, dict[str, Any]], now: int) -> None:
    """What the contract says, in the plainest way."""
    for number, old in archive.items():
        if number not in read:
            if not old["deleted"]:
                old.update(deleted=True, deleted_at=utc_text(now))
            continue
        new = record(number, **read[number]).body
        new["text"] = text_of(old, new)
        new["edited"] = old["edited"] or old["text"] != new["text"]
        for key in ("edit_date", "views", "reply_to", "from_id"):
            new[key] = old[key] if new[key] is None else new[key]
        if (old["from_id"] or 0) > 0:
            new["from_id"] = old["from_id"]
        archive[number] = new
    for number, fields in read.items():
        archive.setdefault(number, record(number, **fields).body)


@settings(max_examples=60, deadline=None)
@given(reads=st.lists(READS, min_size=1, max_size=4), data=st.data())
def test_any_sequence_of_reads_ends_where_the_model_does(reads: list[dict[int, Any]], data: st.DataObject) -> None:
    archive: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        store = FileArchive(UPath(place) / "data")
        for turn, read in enumerate(reads):
            before = {number: message.copy() for number, message in archive.items()}
            order = data.draw(st.permutations(sorted(read)))
            messages = [record(number, **read[number]) for number in order]
            done = commit(store, Path(place) / "s", messages, people=PEOPLE, now=NOW + turn, page=3)
            reread(archive, read, NOW + turn)
            assert done.added == len(archive.keys() - before.keys())
            assert done.deleted == sum(archive[n]["deleted"] and not before[n]["deleted"] for n in before)
            assert done.changed == (archive != before or turn == 0)
            found = [message.model_dump(exclude_unset=True) for message in store.load(SLUG, DAY).messages]
            assert found == [archive[number] for number in sorted(archive)]
            assert list(store.verify_day(SLUG, DAY)) == []


@settings(max_examples=30, deadline=None)
@given(read=READS, late=st.dictionaries(st.integers(1, 12), BODIES, max_size=4))
def test_an_amendment_marks_nothing_as_deleted(read: dict[int, Any], late: dict[int, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = FileArchive(UPath(place) / "data")
        commit(store, Path(place) / "s", [record(n, **read[n]) for n in sorted(read)], people=PEOPLE)
        done = store.amend(SLUG, CHAT_ID, DAY, [record(n, **late[n]) for n in late], PEOPLE)
        assert (done.deleted, done.added) == (0, len(late.keys() - read.keys()))
        day = store.load(SLUG, DAY)
        texts = {n: text_of(read[n], fields) if n in read else fields["text"] for n, fields in late.items()}
        assert {m.id: m.text for m in day.messages} == {n: fields["text"] for n, fields in read.items()} | texts
        assert list(store.verify_day(SLUG, DAY)) == []


def test_archived_lines_that_do_not_ascend_are_refused() -> None:
    lines = [b'{"id":2,"from_id":null,"deleted":true}', b'{"id":1,"from_id":null,"deleted":true}']
    with pytest.raises(ValueError, match="message 1 stands after 2"):
        list(Merge(None).lines(lines, []))


def test_what_was_sent_after_the_read_was_begun_is_not_taken_for_deleted() -> None:
    before, after = (record(n).body | {"date": utc_text(NOW + n)} for n in (-1, 1))
    lines = [orjson.dumps(before | {"id": 1}), orjson.dumps(after | {"id": 2})]
    kept = [orjson.loads(line)["deleted"] for line in Merge(utc_text(NOW)).lines(lines, [])]
    assert kept == [True, False]


def test_an_id_need_not_stand_first() -> None:
    assert list(Merge(None).lines([], [b'{"text":"","id":1}', b'{"id":2,"text":""}'])) != []
