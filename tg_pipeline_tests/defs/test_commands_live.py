"""Commands pushed by a plain client, carried out by Dagster's own processes, heard by a plain subscriber."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
import redis
from dagster._core.execution.backfill import BulkActionStatus

from tg_pipeline.contracts.events import Event
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline_tests.live_platform import CHATS, PER_DAY, LivePlatform
from tg_pipeline_tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live")]

START = CHATS["one"].start
IDS = [f"{n}{n}{n}{n}{n}{n}{n}{n}-0000-4000-8000-000000000000" for n in range(1, 6)]


def day(number: int) -> str:
    return str(START + timedelta(number))


COMMANDS: list[dict[str, Any]] = [
    {"chat": "@one", "mode": "range", "from": day(0), "to": day(3), "strategy": "per_day"},
    {"chat": "@two", "mode": "range", "from": day(0), "to": day(6), "strategy": "batch"},
    {"chat": "@three", "mode": "days", "days": 3, "strategy": "batch"},
    {"chat": "@four", "mode": "date", "date": day(2)},
    {"chat": "@four", "mode": "days", "days": 2, "strategy": "per_day"},
]
EXPECTED_DAYS = {"one": range(4), "two": range(7), "three": range(7, 10), "four": (2, 8, 9)}


@contextmanager
def listening(url: str) -> Iterator[list[dict[str, Any]]]:
    """What a subscriber hears while the block runs."""
    heard: list[dict[str, Any]] = []
    stop = threading.Event()
    with redis.Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe("tg_events")
        channel.get_message(timeout=5)

        def listen() -> None:
            while not stop.is_set():
                message = channel.get_message(timeout=0.2)
                if message:
                    heard.append(json.loads(message["data"]))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            stop.set()
            thread.join()


def test_every_mode_and_strategy_from_the_list_to_the_files(live: LivePlatform) -> None:
    with (
        listening(live.redis_url) as everything,
        redis.Redis.from_url(live.redis_url) as client,
        open_instance(live.account.settings) as instance,
    ):
        for id_, command in zip(IDS, COMMANDS, strict=True):
            live.push(command_id=id_, **command)

        def heard() -> list[dict[str, Any]]:
            return [event for event in everything if event["command_id"] in IDS]

        def all_ended() -> bool:
            return sum(event["event"] in {"completed", "failed"} for event in heard()) == len(COMMANDS)

        def backfills() -> dict[str, Any]:
            return {id_: b for b in instance.get_backfills() if (id_ := b.tags.get("tg/command_id")) in IDS}

        def all_done() -> bool:
            return {b.status for b in backfills().values()} == {BulkActionStatus.COMPLETED_SUCCESS}

        assert wait_until(all_ended, 240), (heard(), live.end_of_log)
        assert set(backfills()) == {IDS[0], IDS[1], IDS[2], IDS[4]}
        assert wait_until(all_done, 90), [(b.tags["tg/chat"], b.status, b.error) for b in backfills().values()]
        runs = {
            id_: instance.get_runs_count(dg.RunsFilter(tags={"tg/command_id": id_, "tg/chat": c["chat"][1:]}))
            for id_, c in zip(IDS, COMMANDS, strict=True)
        }
        assert runs == dict(zip(IDS, (4, 1, 1, 1, 2), strict=True))
        assert wait_until(lambda: client.hlen("tg_commands:in_flight") == 0, 20)
        log = [json.loads(fields[b"event"]) for _, fields in client.xrange("tg_events:log")]
    assert [event for event in log if event["command_id"] in IDS] == heard()
    by_command: dict[str, list[Event]] = defaultdict(list)
    for event in heard():
        by_command[event["command_id"]].append(Event.model_validate(event))
    for id_, command in zip(IDS, COMMANDS, strict=True):
        first, *between, last = by_command[id_]
        assert (first.event, last.event) == ("started", "completed"), command
        assert {event.event for event in between} == {"progress"}
        assert last.chat == command["chat"]
        assert last.processed == PER_DAY * ((last.days_total or 0) - (command["mode"] == "days"))  # today is empty yet
    for slug, numbers in EXPECTED_DAYS.items():
        assert [str(d) for d in live.store.days(slug)] == [day(number) for number in numbers]
