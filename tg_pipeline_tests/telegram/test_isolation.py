"""Messages that cannot be decoded: each is isolated, the rest is archived, the day says so."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tg_pipeline.app.archive import open_archive
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import Undecodable
from tg_pipeline.contracts.findings import FindingKind
from tg_pipeline.simulator import Undecodable as UndecodableRule
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, account, first_days, plain_world

DAYS = first_days(4)
HISTORY = "messages.getHistory"


def day_files(instance: Account) -> dict[str, bytes]:
    """Every one; `progress.json` may name days that could have had placeholders."""
    return {name: data for name, data in instance.files().items() if name != "progress.json"}


def lines(instance: Account) -> list[dict[str, object]]:
    """Every archived message."""
    store = open_archive(instance.settings)
    return [json.loads(line) for day in DAYS for line in store.lines("busy", day)]


def read_ids(tmp_path: Path) -> list[int]:
    """The ids of the world, ascending."""
    with account(plain_world(per_day=100, days=4), tmp_path / "whole") as instance:
        instance.fetch("busy", DAYS)
        return [int(str(line["id"])) for line in lines(instance)]


@pytest.mark.parametrize("pages_in_flight", [1, 3])
def test_the_rest_is_archived_and_a_placeholder_stands_for_it(tmp_path: Path, pages_in_flight: int) -> None:
    ids = read_ids(tmp_path)
    bad = ids[250]
    with account(plain_world(per_day=100, days=4), tmp_path, pages_in_flight=pages_in_flight) as instance:
        instance.simulator.faults.add(UndecodableRule(ids=frozenset({bad})))
        report = instance.fetch("busy", DAYS)
        found = lines(instance)
        assert [line["id"] for line in found] == ids
        odd, before = found[250], found[249]
        assert (odd["type"], odd["text"], odd["date"]) == ("unreadable", "", before["date"])
        assert odd["wire"] == {"constructor": "0ddba110"}
        assert (report.unreadable, report.meter.total_retries) == (1, 0)
        assert instance.calls()[HISTORY] <= 5 + 2 * 14
        day = sorted(report.days, key=lambda committed: committed.day)[2]
        assert [(c.kind, c.count, c.first_id, c.last_id) for c in day.conditions] == [("unreadable", 1, bad, bad)]
        findings = open_archive(instance.settings).verify_day("busy", day.day)
        assert [finding.kind for finding in findings] == [FindingKind.UNREADABLE]


def test_once_it_can_be_decoded_the_message_takes_the_place_of_the_placeholder(tmp_path: Path) -> None:
    ids = read_ids(tmp_path)
    with account(plain_world(per_day=100, days=4), tmp_path) as instance:
        instance.fetch("busy", DAYS)
        whole = day_files(instance)
        instance.simulator.faults.add(UndecodableRule(ids=frozenset(ids[240:260])))
        instance.fetch("busy", DAYS)
        assert day_files(instance) == whole
    with account(plain_world(per_day=100, days=4), tmp_path / "later") as instance:
        instance.simulator.faults.add(UndecodableRule(ids=frozenset(ids[195:205])))
        instance.fetch("busy", DAYS)
        instance.simulator.faults.clear()
        again = instance.fetch("busy", DAYS)
        assert day_files(instance) == whole
        assert not any(day.edited or day.deleted or day.conditions for day in again.days)


def test_the_first_messages_of_a_day_have_placeholders_in_its_file(tmp_path: Path) -> None:
    ids = read_ids(tmp_path)
    days = DayRange(DAYS.last - timedelta(1), DAYS.last)
    rule = UndecodableRule(ids=frozenset(ids[200:204]))
    with account(plain_world(per_day=100, days=4), tmp_path) as instance:
        instance.simulator.faults.add(rule)
        instance.fetch("busy", days)
        store = open_archive(instance.settings)
        assert [json.loads(line)["id"] for day in days for line in store.lines("busy", day)] == ids[200:]
        assert [finding.kind for finding in store.verify_day("busy", days.first)] == [FindingKind.UNREADABLE]
    with account(plain_world(per_day=100, days=4), tmp_path / "later") as instance:
        instance.fetch("busy", DAYS)
        whole = day_files(instance)
        instance.simulator.faults.add(rule)
        instance.fetch("busy", days)
        assert day_files(instance) == whole, "what is archived is neither deleted nor replaced"


def test_a_page_of_nothing_else_comes_to_its_end(tmp_path: Path) -> None:
    ids = read_ids(tmp_path)
    with account(plain_world(per_day=100, days=4), tmp_path) as instance:
        instance.simulator.faults.add(UndecodableRule(ids=frozenset(ids[:120])))
        report = instance.fetch("busy", DAYS)
        found = lines(instance)
        assert [line["id"] for line in found] == ids
        assert report.unreadable == 120
        assert {line["type"] for line in found[:120]} == {"unreadable"}
        assert instance.calls()[HISTORY] <= 3 * 120 + 30


def test_several_in_a_row_are_read_around_where_two_segments_meet(tmp_path: Path) -> None:
    ids = read_ids(tmp_path)
    odd = {ids[n] for n in (0, 99, 100, 101, 198, 399)}
    with account(plain_world(per_day=100, days=4), tmp_path, pages_in_flight=3) as instance:
        instance.simulator.faults.add(UndecodableRule(ids=frozenset(odd)))
        for _ in range(2):
            report = instance.fetch("busy", DAYS)
            assert [line["id"] for line in lines(instance)] == ids
            assert not any(day.edited or day.deleted for day in report.days)
        assert {line["id"] for line in lines(instance) if line["type"] == "unreadable"} == odd


def test_what_is_no_message_is_not_isolated(tmp_path: Path) -> None:
    world = plain_world(per_day=3, days=1)
    with account(world, tmp_path) as instance:
        instance.fetch("busy", first_days(1))
        chat = next(iter(world.chats.values()))
        instance.simulator.call(lambda: setattr(chat.entity, "CONSTRUCTOR_ID", 0x0DDBA11))
        chat.entity._bytes = lambda: b"\x11\xba\xdd\x00"
        with pytest.raises(Undecodable):
            instance.fetch("busy", first_days(1))
        assert instance.calls()[HISTORY] <= 5
    assert FIRST_DAY in first_days(1)
