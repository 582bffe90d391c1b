"""What becomes of commands, with a real Redis and a launcher in memory."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from tg_pipeline.app import dispatch as module
from tg_pipeline.app.command_chats import EDITING_SECONDS
from tg_pipeline.app.dispatch import dispatch
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.contracts.launcher import Outcome
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.storage.registry import load_registry
from tg_pipeline_tests.app.memory_launcher import SUCCESS, MemoryLauncher
from tg_pipeline_tests.contracts.schema_checks import check_events
from tg_pipeline_tests.log_lines import json_lines
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days

DAY = str(FIRST_DAY)
ID = "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11"
LATER = FIRST_DAY + timedelta(days=5)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@dataclass
class Desk:
    """Where commands come in and are dispatched by `me`."""

    settings: Settings
    queue: CommandQueue
    launcher: MemoryLauncher

    def push(self, **fields: Any) -> None:
        self.queue.push(json.dumps({"command": "fetch", "chat": "@busy", "mode": "date", "date": DAY} | fields))

    def push_days(self, number: int) -> None:
        days = first_days(number)
        asked = {"mode": "range", "from": str(days.first), "to": str(days.last)}
        self.queue.push(json.dumps({"command": "fetch", "chat": "@busy"} | asked))

    def look(self, owner: str = "me") -> Counter[str]:
        return dispatch(self.settings, self.queue, self.launcher, owner=owner)

    def launched(self) -> list[AcceptedCommand]:
        return self.launcher.launched

    def edit(self, busy: str, *, ago: float = EDITING_SECONDS + 1) -> None:
        """Write the registry, so many seconds ago, with `busy` as the text says and `other` as before."""
        other = f'  - {{slug: other, chat: "@other", start: {FIRST_DAY}}}\n'
        self.settings.chats_path.write_text(f"chats:\n{busy}{other}")
        written = time.time() - ago
        os.utime(self.settings.chats_path, (written, written))

    @property
    def events(self) -> list[dict[str, Any]]:
        return check_events([event for _, event in self.queue.events()])

    @property
    def published(self) -> list[tuple[str, str]]:
        return [(event["event"], event["status"]) for event in self.events]


def entry(slug: str = "busy", start: date | str = FIRST_DAY) -> str:
    return f'  - {{slug: {slug}, chat: "@busy", start: {start}}}\n'


@pytest.fixture
def desk(redis_url: str, tmp_path: Path) -> Iterator[Desk]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    settings = Settings(
        _env_file=None,
        dagster_home=tmp_path,
        chats_file=tmp_path / "chats.yaml",
        redis_url=SecretStr(redis_url),
        start_date=FIRST_DAY,
    )
    queue = CommandQueue(redis_url)
    found = Desk(settings, queue, MemoryLauncher("busy", "other", start=FIRST_DAY))
    found.edit(entry())
    yield found
    queue.close()


def test_a_command_is_launched_once_and_ends_once(desk: Desk) -> None:
    desk.push(command_id=ID)
    assert desk.look() == {"waiting": 1, "launched": 1}
    assert desk.look() == {}, "it runs"
    desk.launcher.ends[ID] = SUCCESS
    assert desk.look()["ended"] == 1
    assert desk.look() == {}
    assert desk.published == [("started", "running"), ("completed", "success")]
    assert desk.queue.counts() == {"pushed": 0, "waiting": 0, "in_flight": 0, "dead": 0}


def test_a_chats_commands_go_one_after_the_other(desk: Desk) -> None:
    desk.push()
    desk.push(date=str(FIRST_DAY + timedelta(1)))
    desk.push(chat="@other")
    desk.look()
    assert sorted(command.slug for command in desk.launched()) == ["busy", "other"]
    desk.look()
    assert len(desk.launched()) == 2
    desk.launcher.ends |= {command.id: SUCCESS for command in desk.launched()}
    desk.look()
    assert desk.launched()[2].first == FIRST_DAY + timedelta(1)


def test_no_more_is_launched_at_once_than_a_look_has_time_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAUNCHES_PER_LOOK", 1)
    desk.push()
    desk.push(chat="@other")
    assert desk.look()["launched"] == 1
    (first,) = desk.launched()
    desk.launcher.dead["run"] = first.id
    assert desk.look() == {"retried": 1}, "what is launched again counts"
    assert desk.look() == {"launched": 1}


def test_a_launch_that_was_lost_is_made_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.launcher.is_away = True
    desk.push()
    desk.look()
    desk.launcher.is_away = False
    assert desk.look() == {}, "it may be on its way"
    monkeypatch.setattr(module, "LAUNCH_AGAIN_SECONDS", 0.0)
    assert desk.look() == {"launched": 1}
    assert len(desk.launched()) == 1


def test_what_another_launched_is_followed_once_it_is_dead(desk: Desk, redis_url: str) -> None:
    desk.push(command_id=ID)
    desk.look("another")
    desk.launcher.ends[ID] = SUCCESS
    assert desk.look() == {}, "the other one lives"
    with redis.Redis.from_url(redis_url) as client:
        client.delete("tg_commands:owner:another")
    assert desk.look()["ended"] == 1


def test_runs_that_died_are_launched_again_before_their_command_ends(desk: Desk) -> None:
    desk.push(command_id=ID)
    desk.look()
    desk.launcher.dead["run"], desk.launcher.ends[ID] = ID, SUCCESS
    assert desk.look() == {"retried": 1}
    assert desk.published == []
    assert desk.look()["ended"] == 1


def test_a_chat_that_is_removed_during_its_command_cancels_it(desk: Desk) -> None:
    desk.push(command_id=ID)
    desk.look()
    desk.edit("")
    desk.look()
    assert [command.id for command in desk.launcher.canceled] == [ID]
    assert desk.published == []
    desk.launcher.ends[ID] = Outcome("failed", 0, 1, None, None, error_type="RunDied")
    desk.look()
    assert desk.published == [("started", "running"), ("failed", "canceled")]
    assert desk.events[-1]["error_type"] == "ChatNotRegistered"


@pytest.mark.parametrize(
    ("fields", "error_type", "field"),
    [
        ({"date": "2999-01-01"}, "FutureDay", "date"),
        ({"date": "2013-01-01"}, "BeforeStart", "date"),
        ({"chat": "@nobody_here"}, "ChatNotRegistered", "chat"),
        ({"chat": "../../etc/passwd"}, "ChatNotRegistered", "chat"),
        ({"date": "2025-11-07T00:00+03:00"}, "InvalidField", "date"),
        ({"options": {"priority": 10}}, "InvalidField", "options.priority"),
    ],
)
def test_what_cannot_be_carried_out_is_said(desk: Desk, fields: dict[str, Any], error_type: str, field: str) -> None:
    desk.push(**fields)
    assert desk.look() == {"rejected": 1}
    (event,) = desk.events
    assert (event["event"], event["error_type"], event["field"]) == ("failed", error_type, field)
    assert desk.queue.counts()["dead"] == 1


def test_an_unregistered_chat_is_registered_where_the_settings_say_so(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"commands_unregistered_chats": "register"})
    desk.push(chat="@Third_Chat")
    assert desk.look() == {"waiting": 1}, "until it is loaded"
    assert [chat.slug for chat in load_registry(desk.settings.chats_path)] == ["busy", "other", "third_chat"]
    desk.launcher.loaded.add("third_chat")
    assert desk.look() == {"launched": 1}


EDITS = [
    ("", "ChatNotRegistered"),
    (entry("renamed"), "ChatNotRegistered"),
    (entry(start="soon"), "ChatDisabled"),
    (entry(start=LATER), "BeforeStart"),
]


@pytest.mark.parametrize(("text", "error_type"), EDITS)
@pytest.mark.parametrize("claimed", [False, True])
def test_a_command_that_can_no_longer_be_launched_ends_with_the_reason(
    desk: Desk, text: str, error_type: str, *, claimed: bool
) -> None:
    desk.launcher.is_away = True
    if not claimed:
        desk.launcher.loaded.clear()
    desk.push()
    assert desk.look()["launched"] == claimed
    desk.edit(text)
    desk.look()
    desk.look()
    assert [event for event in desk.published if event[0] != "started"] == [("failed", "canceled")]
    assert desk.events[-1]["error_type"] == error_type
    assert desk.queue.counts()["in_flight"] == desk.queue.counts()["waiting"] == 0


def test_commands_of_a_chat_whose_entry_was_spoiled_just_now_wait_for_a_better_one(desk: Desk) -> None:
    desk.push(command_id=ID)
    desk.push(date=str(FIRST_DAY + timedelta(days=1)))
    desk.look()
    desk.launcher.dead = {"run": ID}
    desk.edit(entry(start="soon"), ago=0)
    for _ in range(2):
        assert not desk.look()["retried"]
    assert (desk.launcher.canceled, list(desk.launcher.dead)) == ([], ["run"])
    assert desk.queue.counts()["waiting"] == 1
    desk.edit(entry(), ago=0)
    assert desk.look()["retried"] == 1
    desk.launcher.ends[ID] = SUCCESS
    assert desk.look() == {"ended": 1, "launched": 1}


def test_a_chat_that_stays_disabled_ends_its_commands(desk: Desk) -> None:
    desk.push(command_id=ID)
    desk.push(date=str(FIRST_DAY + timedelta(days=1)))
    desk.look()
    desk.edit(entry(start="soon"))
    desk.look()
    assert [command.id for command in desk.launcher.canceled] == [ID]
    desk.launcher.ends[ID] = Outcome("canceled", 0, 0, None, None, error_type="Canceled")
    desk.look()
    assert [event["error_type"] for event in desk.events if event["event"] == "failed"] == ["ChatDisabled"] * 2


def test_a_chat_that_is_disabled_takes_no_commands_and_says_why(desk: Desk) -> None:
    desk.edit(entry(start="soon"))
    desk.push()
    desk.push(chat="@other")
    desk.look()
    assert [command.slug for command in desk.launched()] == ["other"]
    (event,) = desk.events
    assert (event["event"], event["error_type"], event["field"]) == ("failed", "ChatDisabled", "chat")
    assert "line 2" in event["message"]


def test_a_registry_that_cannot_be_understood_leaves_commands_where_they_are(desk: Desk) -> None:
    desk.settings.chats_path.write_text("- no registry")
    desk.push()
    with pytest.raises(SettingsError):
        desk.look()
    assert desk.queue.counts()["pushed"] == 1


def test_a_command_whose_first_days_went_before_its_launch_is_launched_with_the_rest(desk: Desk) -> None:
    desk.launcher.loaded.clear()
    desk.push_days(3)
    desk.look()
    desk.edit(entry(start=first_days(2).last))
    desk.launcher.loaded, desk.launcher.start = {"busy"}, first_days(2).last
    assert desk.look() == {"launched": 1}


def test_one_bad_command_does_not_hold_up_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.push(command_id=ID)
    desk.push(chat="@other")
    desk.look()
    _, other = desk.launched() if desk.launched()[0].id == ID else desk.launched()[::-1]
    monkeypatch.setattr(desk.launcher, "is_over", lambda command: {other.id: True}[command.id])
    desk.launcher.ends[other.id] = SUCCESS
    assert desk.look() == {"skipped": 1, "ended": 1}
    assert [flight.command.id for flight in desk.queue.in_flight()] == [ID]


def test_nothing_is_done_while_redis_is_away(desk: Desk) -> None:
    away = CommandQueue("redis://127.0.0.1:1/0")
    (reason,) = dispatch(desk.settings, away, desk.launcher, owner="me")
    assert reason.startswith("not done")


def test_taking_a_command_and_its_parameters_are_logged_for_debugging(desk: Desk) -> None:
    desk.push(command_id=ID)
    with json_lines("DEBUG") as written:
        desk.look()
        taken, parsed, *_ = (line for line in written() if line["level"] == "debug")
    assert taken["logger"] == parsed["logger"] == "tg_pipeline.app.accepting"
    assert (parsed["command_id"], parsed["chat"], parsed["mode"]) == (ID, "busy", "date")


def test_a_rejected_command_without_an_id_is_logged_with_the_one_of_its_event(desk: Desk) -> None:
    desk.push(date="no date")
    with json_lines() as written:
        desk.look()
        (line,) = written()
    (event,) = desk.events
    assert line["command_id"] == event["command_id"]
