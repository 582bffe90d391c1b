"""Commands and events in a real Redis, step by step."""

import json
import re
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from tg_pipeline.bus.queue import BEGINNING_BYTES, CommandQueue, Taken
from tg_pipeline.bus.scripts import TYPES, UNTAKEN
from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.commands import MAX_COMMAND_BYTES, CommandError, parse_command, plan
from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.contracts.events import Event, timestamp
from tg_pipeline.state.redis_client import where
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.contracts.schema_checks import check_events

TODAY = date(2026, 3, 1)
TTL = 60
FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url) as found:
        found.flushall()
        yield found


@pytest.fixture
def queue(url: str, client: Any) -> Iterator[CommandQueue]:
    """Whatever a test has it publish is held to the schema."""
    found = CommandQueue(url, ttl_seconds=TTL)
    yield found
    check_events([event for _, event in found.events()])
    found.close()


def text(slug: str = "busy", **more: Any) -> str:
    return json.dumps({"command": "fetch", "chat": f"@{slug}", "mode": "days", "days": 3} | more)


def judge(queue: CommandQueue, *, slug: str = "busy", count: int = 100) -> list[str]:
    """Accept all that can be taken, as the sensor does."""
    done = []
    for number, taken in enumerate(queue.take(count)):
        command = parse_command(taken.raw, taken.size)
        days = plan(command, today=TODAY, start=date(2020, 1, 1)).days
        accepted = AcceptedCommand(
            id=command.command_id or f"id-{taken.seq}",
            slug=command.chat.lstrip("@") or slug,
            chat=command.chat,
            mode=command.mode,
            params=command.params,
            first=days.first,
            last=days.last,
            **command.options.known,
            accepted=number,
        )
        done.append(queue.accept(taken, command, accepted))
    return done


def test_the_oldest_command_is_found_wherever_it_waits(queue: CommandQueue) -> None:
    assert queue.oldest() == (None, None)
    chats = {"one": [(50, 0), (70, 9)], "two": [(60, 0), (40, 3), (65, 3)], "three": [(80, 0)]}
    commands = {}
    for slug, commands_of in chats.items():
        for accepted, priority in commands_of:
            queue.push(text(slug, command_id=str(uuid4())))
            (taken,) = queue.take(1)
            command = parse_command(taken.raw)
            days = plan(command, today=TODAY, start=date(2020, 1, 1)).days
            commands[accepted] = AcceptedCommand(
                id=str(command.command_id),
                slug=slug,
                chat=command.chat,
                mode=command.mode,
                params=command.params,
                first=days.first,
                last=days.last,
                priority=priority,
                accepted=1_700_000_000_000 + accepted,
            )
            assert queue.accept(taken, command, commands[accepted]) == "waiting"
    for accepted in (40, 50, 60, 65, 70, 80):
        assert queue.oldest() == (None, 1_700_000_000 + accepted / 1_000)
        assert queue.claim(commands[accepted], "me")
        assert queue.oldest() == (None, 1_700_000_000 + accepted / 1_000), "in flight it is not done"
        queue.release(commands[accepted])
    assert queue.oldest() == (None, None)


def test_what_nobody_takes_waits_since_it_was_first_seen(queue: CommandQueue) -> None:
    queue.push(text("one"))
    began = queue.oldest().untaken
    assert began == pytest.approx(time.time(), abs=60)
    queue._redis.set(UNTAKEN, 5_000)
    queue.push(text("two"))
    assert queue.oldest().untaken == 5
    queue.take(1)
    assert queue.oldest().untaken != 5, "a reader has come"
    queue._redis.set(UNTAKEN, 5_000)
    queue.take(2)
    assert queue.oldest().untaken != 5
    assert queue.oldest().untaken is not None, "what was taken and not judged waits for a reader again"
    for one in queue.take(2):
        queue.reject(one, CommandError("NotJson", "it is broken"), about={})
    assert queue.oldest() == (None, None)


def test_a_list_that_was_emptied_by_hand_is_forgotten(queue: CommandQueue) -> None:
    queue.push(text("one"))
    queue.oldest()
    queue._redis.set(UNTAKEN, 5_000)
    queue._redis.delete("tg_commands")
    assert queue.oldest().untaken is None
    queue.push(text("one"))
    assert queue.oldest().untaken != 5


def reported(queue: CommandQueue) -> list[tuple[str, str, str]]:
    return [(event["command_id"], event["event"], event["status"]) for _, event in queue.events()]


def ended(command: AcceptedCommand, processed: int = 7) -> Event:
    return command.event("completed", "success", processed=processed)


def launch(queue: CommandQueue) -> AcceptedCommand:
    (command, *_) = queue.due()
    assert queue.claim(command, "me")
    return command


def test_a_command_goes_through_all_its_places(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    assert queue.counts() == {"pushed": 1, "waiting": 0, "in_flight": 0, "dead": 0}
    assert judge(queue) == ["waiting"]
    assert queue.counts()["waiting"] == 1
    command = launch(queue)
    assert command.id == FIRST
    assert queue.counts() == {"pushed": 0, "waiting": 0, "in_flight": 1, "dead": 0}
    begun = command.event("started", "running")
    assert queue.start(begun)
    assert not queue.start(begun)
    assert queue.finish(ended(command), started=begun)
    assert not queue.finish(ended(command), started=begun)
    queue.release(command)
    assert queue.counts() == {"pushed": 0, "waiting": 0, "in_flight": 0, "dead": 0}
    assert reported(queue) == [(FIRST, "started", "running"), (FIRST, "completed", "success")]


def test_the_duration_counts_from_the_started_that_is_out(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    command = launch(queue)
    queue.start(command.event("started", "running", ts=timestamp(1_000.0)))
    second_attempt = command.event("started", "running", ts=timestamp(1_062.5))
    queue.start(second_attempt)
    queue.progress(command.event("progress", "running", ts=timestamp(1_062.6)), {"2024-01-01": 4})
    ended = command.event("completed", "success", ts=timestamp(1_062.7))
    queue.finish(ended, started=second_attempt)
    assert [event["duration_sec"] for _, event in queue.events()] == [0.0, 62.6, 62.7]


def test_the_duration_counts_from_its_own_started_where_none_is_out(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    command = launch(queue)
    begun = command.event("started", "running", ts=timestamp(1_000.0))
    queue.finish(command.event("failed", "failed", ts=timestamp(1_001.5)), started=begun)
    assert [event["duration_sec"] for _, event in queue.events()] == [0.0, 1.5]


def test_what_a_dead_reader_had_taken_is_taken_again(queue: CommandQueue) -> None:
    for _ in range(3):
        queue.push(text())
    lost = queue.take(2)
    again = queue.take(10)
    assert [taken.seq for taken in again] == ["1", "2", "3"]
    assert again[:2] == lost


def test_of_two_readers_one_accepts(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    (one,) = queue.take(1)
    assert judge(queue) == ["waiting"]
    command = parse_command(one.raw)
    (accepted,) = queue.waiting()
    assert queue.accept(one, command, accepted) == "gone"
    assert not queue.reject(one, CommandError("X", "y"), about={})
    assert reported(queue) == []


def test_the_end_tells_of_the_start_where_nobody_did(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    command = launch(queue)
    queue.finish(ended(command), started=command.event("started", "running"))
    assert [event for _, event, _ in reported(queue)] == ["started", "completed"]
    assert not queue.start(command.event("started", "running")), "nothing after the end"
    assert not queue.progress(command.event("progress", "running"), {"2026-02-01": 1})


def test_the_same_id_is_answered_and_not_carried_out_again(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    queue.push(text(command_id=FIRST))
    assert judge(queue) == ["waiting", "duplicate"]
    command = launch(queue)
    queue.finish(ended(command), started=command.event("started", "running"))
    queue.release(command)
    queue.push(text(command_id=FIRST))
    assert judge(queue) == ["duplicate"]
    events = [event for _, event in queue.events()]
    assert [event["event"] for event in events] == ["progress", "started", "completed", "progress"]
    assert "outcome" not in events[0]
    assert events[3]["outcome"]["processed"] == 7
    assert queue.due() == []


def test_an_id_may_come_again_when_it_is_forgotten(queue: CommandQueue, client: Any) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    command = launch(queue)
    queue.finish(ended(command), started=command.event("started", "running"))
    queue.release(command)
    assert 0 < client.ttl(f"tg_commands:record:{FIRST}") <= TTL
    client.delete(f"tg_commands:record:{FIRST}")
    queue.push(text(command_id=FIRST))
    assert judge(queue) == ["waiting"]
    assert queue.start(launch(queue).event("started", "running"))


def test_commands_of_one_key_share_the_outcome(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST, idempotency_key="k"))
    queue.push(text("other", command_id=SECOND, idempotency_key="k"))
    assert judge(queue) == ["waiting", "coalesced"]
    command = launch(queue)
    queue.finish(ended(command), started=command.event("started", "running"))
    assert reported(queue) == [
        (SECOND, "started", "running"),
        (FIRST, "started", "running"),
        (FIRST, "completed", "success"),
        (SECOND, "completed", "success"),
    ]
    last = queue.events()[-1][1]
    assert (last["duplicate_of"], last["chat"], last["processed"]) == (FIRST, "@other", 7)


def test_one_that_comes_after_the_end_gets_the_outcome_at_once(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST, idempotency_key="k"))
    judge(queue)
    command = launch(queue)
    queue.finish(ended(command), started=None)
    queue.push(text(command_id=SECOND, idempotency_key="k"))
    assert judge(queue) == ["coalesced"]
    assert reported(queue)[-2:] == [(SECOND, "started", "running"), (SECOND, "completed", "success")]


def test_the_same_content_without_a_name_is_one_while_the_first_is_in_flight(queue: CommandQueue) -> None:
    queue.push(text())
    queue.push(text())
    queue.push(text(days=4))
    queue.push(text(command_id=FIRST))
    assert judge(queue) == ["waiting", "coalesced", "waiting", "waiting"]
    command = launch(queue)
    queue.finish(ended(command), started=None)
    queue.release(command)
    queue.push(text())
    assert judge(queue) == ["coalesced"], "the named one of the same content still waits"


def test_after_the_end_the_same_content_is_a_new_command(queue: CommandQueue) -> None:
    queue.push(text())
    judge(queue)
    queue.finish(ended(launch(queue)), started=None)
    queue.push(text())
    assert judge(queue) == ["waiting"]


def test_a_chat_has_one_command_in_flight_and_chats_take_turns(queue: CommandQueue) -> None:
    for slug in ("busy", "busy", "busy", "other", "third"):
        queue.push(text(slug, command_id=None, days=len(queue.pushed()) + 1))
    judge(queue)
    order = []
    for _ in range(3):
        due = queue.due()
        order.append([command.slug for command in due])
        assert queue.claim(due[0], "me")
    assert order == [["busy", "other", "third"], ["other", "third"], ["third"]]
    assert queue.due() == []
    for flight in queue.in_flight():
        queue.release(flight.command)
    assert [command.slug for command in queue.due()] == ["busy"]
    assert [len(command.days) for command in queue.waiting()] == [2, 3], "in the order they came"


def test_priority_goes_first_within_a_chat_and_between_chats(queue: CommandQueue) -> None:
    for slug, priority, days in (("aaa", 0, 1), ("bbb", 0, 2), ("bbb", 5, 3), ("aaa", 2, 4)):
        queue.push(text(slug, days=days, options={"priority": priority}))
    judge(queue)
    assert [(command.slug, command.priority) for command in queue.due()] == [("bbb", 5), ("aaa", 2)]


def test_what_a_living_reader_has_launched_is_its_own(queue: CommandQueue, client: Any) -> None:
    queue.push(text())
    judge(queue)
    command = launch(queue)
    queue.beat("me")
    (flight,) = queue.in_flight()
    assert flight.owner == "me"
    assert queue.adopt(flight, "other") is None
    client.delete("tg_commands:owner:me")
    adopted = queue.adopt(flight, "other")
    assert adopted is not None
    assert adopted.owner == "other"
    assert queue.adopt(flight, "third") is None, "it was adopted meanwhile"
    assert queue.in_flight()[0].command == command


def test_a_rejected_command_is_told_of_once_and_kept(queue: CommandQueue) -> None:
    queue.push(b"\xff not json")
    (taken,) = queue.take(10)
    error = CommandError("NotJson", "Not UTF-8.", value=taken.raw)
    assert queue.reject(taken, error, about={"chat": "@busy"})
    assert not queue.reject(taken, error, about={})
    ((_, event),) = queue.events()
    assert (event["event"], event["status"], event["error_type"], event["chat"]) == (
        "failed",
        "rejected",
        "NotJson",
        "@busy",
    )
    (letter,) = queue.dead()
    assert (letter["raw"], letter["error_type"], letter["size"]) == ("\\xff not json", "NotJson", 10)


def test_an_id_that_is_rejected_twice_ends_once(queue: CommandQueue) -> None:
    error = CommandError("InvalidField", "no", field="days")
    for _ in range(2):
        queue.push(text(command_id=FIRST))
        (taken,) = queue.take(1)
        assert queue.reject(taken, error, about={"command_id": FIRST, "chat": "@busy", "mode": "days"})
    (_, first), (_, second) = queue.events()
    assert (first["event"], first["status"]) == ("failed", "rejected")
    assert (second["event"], second["status"], second["duplicate_of"]) == ("progress", "duplicate", FIRST)
    assert second["outcome"] == first
    assert queue.counts()["dead"] == 2
    assert queue.totals()[0] == {"rejected": 1}


def test_a_command_that_is_mended_is_carried_out_under_the_id_that_was_rejected(queue: CommandQueue) -> None:
    queue.push("broken")
    (taken,) = queue.take(1)
    queue.reject(taken, CommandError("NotJson", "no"), about={"command_id": FIRST})
    queue.push(text(command_id=FIRST))
    assert judge(queue) == ["waiting"]
    command = launch(queue)
    assert queue.finish(ended(command), started=command.event("started", "running"))
    assert [event for _, event, _ in reported(queue)] == ["failed", "started", "completed"]


def test_a_rejected_command_does_not_end_another_of_its_id(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    queue.push(text(command_id=FIRST, days=0))
    (taken,) = queue.take(1)
    queue.reject(taken, CommandError("InvalidField", "no"), about={"command_id": FIRST})
    ((_, event),) = queue.events()
    assert event["command_id"] != FIRST


def test_of_a_long_command_only_the_beginning_is_read(queue: CommandQueue) -> None:
    queue.push(b"x" * (MAX_COMMAND_BYTES + 1))
    queue.push(b"x" * 5_000_000)
    queue.push(b"y" * MAX_COMMAND_BYTES)
    short, long, whole = queue.take(10)
    assert [(taken.size, len(taken.raw)) for taken in (short, long, whole)] == [
        (MAX_COMMAND_BYTES + 1, BEGINNING_BYTES),
        (5_000_000, BEGINNING_BYTES),
        (MAX_COMMAND_BYTES, MAX_COMMAND_BYTES),
    ]


def test_dead_letters_can_be_tried_again_and_forgotten(queue: CommandQueue) -> None:
    for days in (0, -1):
        queue.push(text(days=days))
    for taken in queue.take(10):
        queue.reject(taken, CommandError("InvalidField", "days"), about={})
    newest, oldest = queue.dead()
    assert queue.retry_dead(oldest)
    assert not queue.retry_dead(oldest)
    assert queue.drop_dead(newest)
    assert queue.dead() == []
    assert [json.loads(raw)["days"] for raw in queue.pushed()] == [0]


def test_a_waiting_command_can_be_taken_back(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    (command,) = queue.waiting()
    assert queue.drop(command)
    assert not queue.drop(command)
    assert reported(queue) == [(FIRST, "failed", "canceled")]
    assert queue.due() == []


def test_progress_adds_up_days_and_comes_once_a_second(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    event = launch(queue).event("progress", "running")
    assert queue.progress(event, {"2026-02-27": 5})
    assert not queue.progress(event, {"2026-02-28": 4, "2026-02-27": 6}), "a day counts once, as it was last"
    time.sleep(1.05)
    assert queue.progress(event, {"2026-03-01": 1})
    assert [(e["processed"], e["days_done"]) for _, e in queue.events()] == [(5, 1), (11, 3)]


def test_listeners_hear_what_the_log_keeps(queue: CommandQueue) -> None:
    heard = queue.listen()
    assert next(heard) is None, "nothing yet, but it listens"
    queue.push(text(command_id=FIRST))
    judge(queue)
    command = launch(queue)
    queue.finish(ended(command), started=command.event("started", "running"))
    live = [event for event in (next(heard) for _ in range(4)) if event]
    assert live == [event for _, event in queue.events()]


def test_what_is_known_of_a_command_can_be_looked_at(queue: CommandQueue) -> None:
    assert queue.show(FIRST) is None
    queue.push(text(command_id=FIRST))
    judge(queue)
    found = queue.show(FIRST)
    assert found is not None
    assert found["record"]["state"] == "waiting"
    queue.finish(ended(launch(queue)), started=None)
    found = queue.show(FIRST)
    assert found is not None
    assert (found["record"]["state"], found["ended"]["processed"]) == ("ended", 7)


def test_a_redis_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    with local_redis(tmp_path) as url:
        queue = CommandQueue(url)
        queue.push("x")
    with pytest.raises(StateUnavailable, match=re.escape(where(queue._redis))):
        queue.take(1)
    with pytest.raises(StateUnavailable):
        next(queue.listen())


def test_something_else_under_the_name_of_the_list_is_a_sentence(queue: CommandQueue, client: Any) -> None:
    client.set("tg_commands", "x")
    with pytest.raises(StateUnavailable):
        queue.take(1)


def test_taken_is_what_was_pushed(queue: CommandQueue) -> None:
    queue.push("ü\n")
    assert queue.take(1) == [Taken("1", 3, "ü\n".encode())]


def test_what_ended_and_what_was_published_is_counted_where_it_happens(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST, idempotency_key="k"))
    queue.push(text("other", command_id=SECOND, idempotency_key="k"))
    queue.push(text("third"))
    assert judge(queue) == ["waiting", "coalesced", "waiting"]
    queue.push("nonsense")
    (nonsense,) = queue.take(1)
    queue.reject(nonsense, CommandError("NotJson", "Not JSON."), about={})
    command = next(command for command in queue.due() if command.id == FIRST)
    assert queue.claim(command, "me")
    for _ in range(2):
        queue.finish(ended(command), started=command.event("started", "running"))
    queue.drop(queue.waiting()[0])
    run = command.model_copy(update={"id": "run-1"})
    queue.finish(ended(run), started=run.event("started", "running"))
    statuses, events = queue.totals()
    assert statuses == {"success": 2, "rejected": 1, "canceled": 1}
    assert events == {"started": 3, "completed": 3, "failed": 2}
    assert sum(events.values()) == len(queue.events())


def test_a_run_that_tells_the_end_of_several_tells_of_all_their_messages(queue: CommandQueue) -> None:
    queue.push(text(command_id=FIRST))
    judge(queue)
    command = launch(queue)
    queue.progress(command.event("progress", "running"), {"2026-02-27": 5, "2026-02-28": 6})
    failed = command.event("failed", "failed", processed=6, error_type="ChatPrivate", message="Private.")
    assert queue.finish(failed, started=command.event("started", "running"))
    (last,) = queue.last_events(1)
    assert last == json.loads(failed.dump()) | {"processed": 11}


def test_what_somebody_else_put_among_our_keys_holds_up_nobody(
    queue: CommandQueue, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    queue.push(text(command_id=FIRST))
    queue.push(text("other", command_id=SECOND))
    judge(queue)
    client.hset(f"tg_commands:record:{FIRST}", "command", "nonsense")
    for number, entry in enumerate(("nonsense", "{}", "[]", "5")):
        client.hset("tg_commands:in_flight", f"strange {number}", entry)
    (command,) = queue.due()
    assert command.id == SECOND
    assert queue.claim(command, "me")
    assert [flight.command.id for flight in queue.in_flight()] == [SECOND]
    assert caplog.text.count("holds what is no command under") == 4
    assert f"tg_commands:record:{FIRST} holds no command that can be read." in caplog.text


def test_a_key_of_another_type_is_said(queue: CommandQueue, client: Any) -> None:
    client.set("tg_commands:in_flight", "x")
    with pytest.raises(StateUnavailable) as refused:
        queue.in_flight()
    assert "WRONGTYPE" in str(refused.value.__cause__)


def use_every_key(queue: CommandQueue) -> None:
    """Commands of every fate, and a look at every place."""
    queue.push("nonsense")
    for more in ({"command_id": FIRST, "idempotency_key": "k"}, {"command_id": SECOND, "idempotency_key": "k"}):
        queue.push(text(**more))
    queue.push(text("later"))
    (dead, *_) = queue.take(1)
    queue.reject(dead, CommandError("NotJson", "it is broken"), about={})
    judge(queue)
    (command, *_) = queue.due()
    queue.claim(command, "me")
    queue.beat("me")
    for flight in queue.in_flight():
        queue.adopt(flight, "you")
    queue.start(command.event("started", "running"))
    queue.progress(command.event("progress", "running"), {"2026-02-01": 4})
    for one in ("untaken", "taken"):
        queue.push(text(one))
    queue.take(1)
    for look in (queue.counts, queue.oldest, queue.totals, queue.waiting, queue.pushed, queue.dead, queue.events):
        look()


def test_the_types_of_all_keys_are_known(queue: CommandQueue, client: Any) -> None:
    use_every_key(queue)
    found = {key.decode(): client.type(key).decode() for key in client.scan_iter()}
    used = {name: TYPES.get(name) or TYPES[f"{name.rpartition(':')[0]}:"] for name in found}
    assert used == found
    assert {name if name in TYPES else f"{name.rpartition(':')[0]}:" for name in found} == set(TYPES)


@pytest.mark.parametrize("name", [name for name in TYPES if not name.endswith((":owner:", ":pace:"))])
def test_whichever_key_has_another_type_is_named(url: str, client: Any, name: str) -> None:
    """But for two that are only set, which Redis does whatever they held."""
    queue = CommandQueue(url, ttl_seconds=TTL)
    use_every_key(queue)
    (flight,) = queue.in_flight()
    (key, *_) = sorted(client.scan_iter(f"{name}*" if name.endswith(":") else name))
    client.delete(key)
    client.sadd(key, "x")
    command, seen = flight.command, []
    for step in (
        *(queue.counts, queue.totals, queue.dead, queue.events, queue.waiting, queue.oldest),
        lambda: queue.push(text(idempotency_key="k")),
        lambda: queue.push(text("later")),
        lambda: judge(queue),
        queue.due,
        lambda: queue.progress(command.event("progress", "running"), {"2026-02-02": 4}),
        lambda: queue.finish(ended(command), started=None),
        lambda: queue.release(command),
    ):
        try:
            step()
        except StateUnavailable as error:
            seen.append(str(error))
    assert any(f" {key.decode()} " in sentence for sentence in seen)
    queue.close()


def test_what_cannot_be_numbered_is_not_taken_from_the_list(queue: CommandQueue, client: Any) -> None:
    queue.push(text())
    client.set("tg_commands:seq", "not a number")
    with pytest.raises(StateUnavailable):
        queue.take(1)
    assert queue.counts()["pushed"] == 1
