"""Whose view a day file is, and what a read that sees less than the file does to it: nothing is deleted on trust."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tg_pipeline.contracts.day_file import Condition
from tg_pipeline.contracts.errors import WrongAccount
from tg_pipeline.contracts.history import Record
from tg_pipeline.storage.deletions import HELD_BACK_MESSAGES, Deletions
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline_tests.storage.samples import CHAT_ID, DAY, LATER, NOW, SLUG, commit, fill, record

ACCOUNT = 500_000_001
OTHER = 500_000_777
NEXT = DAY + timedelta(days=1)


def states(store: FileArchive) -> dict[int, bool]:
    """Whether each message of the day is marked deleted, by id."""
    return {m["id"]: m["deleted"] for m in map(orjson.loads, store.lines(SLUG, DAY))}


def conditions(store: FileArchive) -> list[Condition]:
    header = store.header(SLUG, DAY)
    assert header is not None
    return header.conditions


def header_account(store: FileArchive) -> int | None:
    header = store.header(SLUG, DAY)
    assert header is not None
    return header.account


def not_visible(first_id: int | None) -> Sequence[Condition]:
    return [Condition(kind="not_visible", first_id=first_id)]


def test_the_header_names_the_account(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(1)], account=ACCOUNT)
    header = store.header(SLUG, DAY)
    assert header is not None
    assert header.account == ACCOUNT


@pytest.mark.parametrize("account", [OTHER, None])
@pytest.mark.parametrize("accept", [False, True])
def test_another_accounts_view_is_never_written(
    store: FileArchive, scratch: Path, account: int | None, *, accept: bool
) -> None:
    commit(store, scratch, [record(10)], account=ACCOUNT)
    before = store.path(SLUG, DAY).read_bytes()
    with pytest.raises(WrongAccount):
        commit(store, scratch, [record(7)], account=account, accept_deletions=accept)
    with pytest.raises(WrongAccount):
        store.amend(SLUG, CHAT_ID, DAY, [record(7)], {}, account=account)
    assert store.path(SLUG, DAY).read_bytes() == before


def test_a_file_without_an_account_becomes_the_readers_where_a_message_is_in_both(
    store: FileArchive, scratch: Path
) -> None:
    commit(store, scratch, [record(10), record(11)])
    done = commit(store, scratch, [record(10), record(12)], account=ACCOUNT, now=LATER)
    assert (done.added, done.deleted, done.conditions) == (1, 1, ())
    header = store.header(SLUG, DAY)
    assert header is not None
    assert header.account == ACCOUNT


@pytest.mark.parametrize("read", [[record(7)], []], ids=["others", "nothing"])
@pytest.mark.parametrize("found", [(), not_visible(7)], ids=["lower", "hidden"])
def test_a_file_without_an_account_is_held_back_where_no_message_is_in_both(
    store: FileArchive, scratch: Path, found: Sequence[Condition], read: list[Record]
) -> None:
    commit(store, scratch, [record(5)])
    done = commit(store, scratch, read, account=ACCOUNT, conditions=found, now=LATER)
    assert [(c.kind, c.account, c.count) for c in done.conditions] == [("held_back", ACCOUNT, 1)]
    assert states(store) == {5: False}
    assert header_account(store) is None
    done = commit(store, scratch, read, account=ACCOUNT, conditions=found, now=LATER, accept_deletions=True)
    assert header_account(store) == ACCOUNT


@pytest.mark.parametrize(
    "other",
    [{"date": "2025-03-14T10:00:00Z"}, {"from_id": ACCOUNT}, {"from_id": ACCOUNT, "date": "2025-03-14T10:00:00Z"}],
    ids=["date", "author", "both"],
)
@pytest.mark.parametrize("accept", [False, True])
def test_a_file_without_an_account_is_never_written_where_an_id_is_another_message(
    store: FileArchive, scratch: Path, other: dict[str, Any], *, accept: bool
) -> None:
    commit(store, scratch, [record(n) for n in range(1, 9)])
    before = store.path(SLUG, DAY).read_bytes()
    read = [record(4), record(5, **other)]
    with pytest.raises(WrongAccount):
        commit(store, scratch, read, account=OTHER, now=LATER, accept_deletions=accept)
    with pytest.raises(WrongAccount):
        store.amend(SLUG, CHAT_ID, DAY, read, {}, account=OTHER)
    assert store.path(SLUG, DAY).read_bytes() == before


def test_a_private_dialog_belongs_to_its_other_author(store: FileArchive, scratch: Path) -> None:
    ivan = 600_000_041
    for account in (OTHER, ACCOUNT):
        for n, people in enumerate(([ivan], [ivan, ACCOUNT])):
            day = DAY + timedelta(days=n)
            store.path(SLUG, day).unlink(missing_ok=True)
            with DaySpool(scratch, f"{account}{n}") as spool, DaySpool(scratch, f"{account}{n}.later") as later:
                fill(spool, [record(9 + m, from_id=author, day=day) for m, author in enumerate(people)])
                store.commit(SLUG, ivan, day, spool, sealed=True, now=NOW)
                done = store.commit(SLUG, ivan, day, later, sealed=True, now=LATER, account=account)
            assert [c.kind for c in done.conditions] == ["held_back"] * (account != ACCOUNT or n == 0)


def test_what_turns_up_late_does_not_say_whose_the_file_is(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(5)])
    store.amend(SLUG, CHAT_ID, DAY, [record(9)], {}, account=ACCOUNT)
    assert header_account(store) is None
    store.amend(SLUG, CHAT_ID, DAY, [record(5), record(11)], {}, account=ACCOUNT)
    assert header_account(store) == ACCOUNT


def test_what_could_not_be_decoded_shows_nothing(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(5), record(6)])
    unreadable = record(5, type="unreadable", date="2025-03-14T10:00:00Z", from_id=None)
    done = commit(store, scratch, [unreadable], account=ACCOUNT, now=LATER)
    assert [c.kind for c in done.conditions] == ["held_back"]
    done = commit(store, scratch, [unreadable, record(6)], account=ACCOUNT, now=LATER)
    assert done.conditions == ()


def test_what_the_account_cannot_see_is_not_called_deleted(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(n) for n in range(1, 7)])
    commit(store, scratch, [record(n) for n in (1, 3, 4, 5, 6)], now=LATER)
    done = commit(store, scratch, [record(n) for n in (5,)], conditions=not_visible(5), now=LATER + 5)
    assert states(store) == {1: False, 2: True, 3: False, 4: False, 5: False, 6: True}
    assert done.conditions == (Condition(kind="not_visible", first_id=5, count=3),)
    assert conditions(store) == list(done.conditions)
    again = commit(store, scratch, [record(5)], conditions=not_visible(5), now=LATER + 9)
    assert not again.changed


def test_history_that_is_hidden_to_its_end_leaves_every_message(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(n) for n in range(1, 40)])
    commit(store, scratch, [], conditions=not_visible(None), now=LATER)
    assert not any(states(store).values())


def test_a_day_that_is_seen_again_is_whole(store: FileArchive, scratch: Path) -> None:
    whole = [record(n) for n in range(1, 7)]
    commit(store, scratch, whole)
    before = store.path(SLUG, DAY).read_bytes()
    commit(store, scratch, whole[4:], conditions=not_visible(5), now=LATER)
    commit(store, scratch, whole, now=LATER)
    assert store.path(SLUG, DAY).read_bytes() == before


@pytest.mark.parametrize(
    ("left", "count", "held_back"),
    [
        (HELD_BACK_MESSAGES, 2 * HELD_BACK_MESSAGES, True),
        (HELD_BACK_MESSAGES + 1, 2 * HELD_BACK_MESSAGES + 1, False),
        (0, HELD_BACK_MESSAGES, True),
        (0, HELD_BACK_MESSAGES - 1, False),
        (150, 200, False),
    ],
)
def test_a_read_that_lacks_an_implausible_share_is_held_back(
    store: FileArchive, scratch: Path, left: int, count: int, *, held_back: bool
) -> None:
    records = [record(n) for n in range(1, count + 1)]
    commit(store, scratch, records)
    messages = list(store.lines(SLUG, DAY))
    done = commit(store, scratch, [*records[:left], record(900)], now=LATER)
    assert [c.kind for c in done.conditions] == ["held_back"] * held_back
    assert (done.added, done.deleted) == (1, 0 if held_back else count - left)
    assert (list(store.lines(SLUG, DAY))[:-1] == messages) is held_back


def test_a_small_day_waits_for_the_rest_of_the_read_which_tells_what_becomes_of_it(
    store: FileArchive, scratch: Path
) -> None:
    for day in (DAY, NEXT):
        commit(store, scratch, [record(n, day=day) for n in range(1, 6)], day=day)
    before = store.path(SLUG, DAY).read_bytes()
    deletions = Deletions()
    done = commit(store, scratch, [], now=LATER, judge=deletions.judge)
    assert (done.undecided, done.changed, store.path(SLUG, DAY).read_bytes()) == (True, False, before)
    done = commit(store, scratch, [], day=NEXT, now=LATER, judge=deletions.judge)
    assert (done.undecided, [c.kind for c in done.conditions]) == (False, ["held_back"])
    done = commit(store, scratch, [], now=LATER, judge=deletions.judge)
    assert [c.kind for c in done.conditions] == ["held_back"]
    assert not any(states(store).values())


def test_a_day_that_is_held_back_says_since_when_and_is_released_by_a_normal_read(
    store: FileArchive, scratch: Path
) -> None:
    records = [record(n) for n in range(1, 21)]
    commit(store, scratch, records)
    commit(store, scratch, records[:5], now=LATER)
    assert conditions(store) == [Condition(kind="held_back", count=15, since="2025-03-15T04:46:40Z")]
    done = commit(store, scratch, records[:4], now=LATER + 60)
    assert conditions(store) == [Condition(kind="held_back", count=16, since="2025-03-15T04:46:40Z")]
    assert done.conditions == tuple(conditions(store))
    assert store.load(SLUG, DAY).message_count == 20
    done = commit(store, scratch, records[1:], now=LATER + 120)
    assert (done.deleted, done.conditions, conditions(store)) == (1, (), [])


def test_a_mass_deletion_is_recorded_once_it_is_accepted(store: FileArchive, scratch: Path) -> None:
    records = [record(n) for n in range(1, 21)]
    commit(store, scratch, records)
    commit(store, scratch, [], now=LATER)
    done = commit(store, scratch, [], now=LATER + 60, accept_deletions=True)
    assert (done.deleted, done.conditions) == (20, ())
    assert all(states(store).values())


def test_messages_that_came_late_leave_the_conditions(store: FileArchive, scratch: Path) -> None:
    commit(store, scratch, [record(5)], conditions=not_visible(5))
    done = store.amend(SLUG, CHAT_ID, DAY, [record(9)], {})
    assert done.conditions == (Condition(kind="not_visible", first_id=5),)


def test_what_the_file_has_and_a_read_does_not_reach_is_found(store: FileArchive, scratch: Path) -> None:
    assert store.count_before(SLUG, DAY, None) == 0
    commit(store, scratch, [record(n) for n in (3, 4, 5)])
    commit(store, scratch, [record(n) for n in (4, 5)], now=LATER)
    assert store.count_before(SLUG, DAY, 4) == 0, "message 3 is known to be deleted"
    assert store.count_before(SLUG, DAY, 5) == 1
    assert store.count_before(SLUG, DAY, None) == 2
