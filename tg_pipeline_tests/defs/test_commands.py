"""From a command on the list to its last event, with the runs executed in this process."""

import copy
import errno
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redis
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from pydantic import SecretStr

from tg_pipeline.app.archive import open_archive
from tg_pipeline.app.dispatch import dispatch
from tg_pipeline.bus.queue import CommandQueue
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.events import seconds_between
from tg_pipeline.dagster_client.launching import ATTEMPTS_MOST, REPOSITORY, DagsterLauncher
from tg_pipeline.dagster_client.names import messages_key, messages_step
from tg_pipeline.dagster_client.runs import tags_of
from tg_pipeline.defs import checks, commands, ended_runs
from tg_pipeline.defs.ended_runs import RETRY_WITHIN, ended_runs_sensor, publish_ended_runs
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline.observability import counts
from tg_pipeline.simulator import Error, Latency
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.storage.registry import load_registry
from tg_pipeline_tests.contracts.schema_checks import check_events
from tg_pipeline_tests.defs.pipeline import MAX_RETRIES, Pipeline, pipeline
from tg_pipeline_tests.log_lines import json_lines
from tg_pipeline_tests.processes import open_files, wait_until
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days, plain_world

DAY = str(FIRST_DAY)
ID = "0b9d5b5e-5f0c-4c43-9b0a-4c6c8f6f6d11"
BEFORE, AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@dataclass
class Platform:
    """A pipeline and its queue; what Dagster's daemon would do is done by hand."""

    pipeline: Pipeline
    queue: CommandQueue
    loaded: tuple[str, ...] = ("busy", "other")

    def push(self, **fields: Any) -> None:
        self.queue.push(json.dumps({"command": "fetch", "chat": "@busy", "mode": "date", "date": DAY} | fields))

    def tick(self) -> DagsterLauncher:
        """One tick of the sensor `commands`."""
        settings = self.pipeline.account.settings
        launcher = DagsterLauncher(
            self.pipeline.instance,
            settings.backfill_days_per_run,
            RegisteredCodeLocationOrigin("tg_pipeline"),
            {slug: daily_partitions(FIRST_DAY) for slug in self.loaded},
        )
        dispatch(settings, self.queue, launcher, owner="me")
        return launcher

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        slug = request.tags["tg/chat"]
        job = self.pipeline.defs.resolve_job_def(f"fetch_{slug}")
        return job.execute_in_process(
            instance=self.pipeline.instance,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        return check_events([event for _, event in self.queue.events()])

    @property
    def reported(self) -> list[tuple[str, str]]:
        return [(event["event"], event["status"]) for event in self.events]


@pytest.fixture
def platform(redis_url: str, tmp_path: Path) -> Iterator[Platform]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    queue = CommandQueue(redis_url)
    with pipeline(plain_world(), tmp_path, "busy", "other", redis_url=redis_url) as found:
        yield Platform(found, queue)
    queue.close()


def changed(platform: Platform, **settings: Any) -> Platform:
    """The same with other settings; the fixture puts the environment back."""
    secrets = {name.upper(): value for name, value in settings.items() if isinstance(value, SecretStr)}
    os.environ.update({key: value.get_secret_value() for key, value in secrets.items()})
    account = copy.copy(platform.pipeline.account)
    account.settings = account.settings.model_copy(update=settings)
    return replace(platform, pipeline=replace(platform.pipeline, account=account))


def unconnected(platform: Platform) -> Platform:
    """The same, whose runs have no Redis to tell anything."""
    return changed(platform, redis_url=None)


def range_of(days: DayRange, slug: str = "busy") -> dict[str, Any]:
    return {"command": "fetch", "chat": f"@{slug}", "mode": "range", "from": str(days.first), "to": str(days.last)}


def test_a_command_of_one_day_becomes_a_run_and_is_told_of(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    assert request.partition_key == DAY
    assert platform.execute(request).success
    platform.tick()
    assert platform.reported == [("started", "running"), ("progress", "running"), ("completed", "success")]
    first, _, last = platform.events
    assert first["command_id"] == last["command_id"] == request.tags["tg/command_id"]
    assert last["params"] == {"date": DAY, "options": {}}
    header = open_archive(platform.pipeline.account.settings).header("busy", FIRST_DAY)
    assert header is not None
    assert last["processed"] == header.message_count > 0
    assert platform.tick().requests == []
    assert platform.queue.counts() == {"pushed": 0, "waiting": 0, "in_flight": 0, "dead": 0}
    assert len(platform.events) == 3


def test_what_the_run_could_not_tell_the_sensor_does(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    assert unconnected(platform).execute(request).success
    assert platform.reported == []
    platform.tick()
    assert platform.reported == [("started", "running"), ("completed", "success")]
    header = open_archive(platform.pipeline.account.settings).header("busy", FIRST_DAY)
    assert header is not None
    assert platform.events[-1]["processed"] == header.message_count
    assert platform.events[-1]["duration_sec"] > 0


def test_the_duration_of_a_step_that_was_retried_counts_from_its_start(platform: Platform) -> None:
    patient = changed(platform, flood_wait_max_seconds=0)
    patient.pipeline.account.simulator.faults.add(Error(method="messages.getHistory", error="FLOOD_WAIT_1", count=1))
    platform.push()
    (request,) = platform.tick().requests
    assert patient.execute(request).success
    platform.tick()
    first, *_, last = platform.events
    assert last["event"] == "completed"
    assert last["duration_sec"] == pytest.approx(seconds_between(first["ts"], last["ts"]))
    assert last["duration_sec"] >= 1


def test_a_chat_that_cannot_be_read_ends_its_command_at_once(platform: Platform) -> None:
    platform.pipeline.account.simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
    platform.push()
    (request,) = platform.tick().requests
    assert not platform.execute(request).success
    assert platform.reported == [("started", "running"), ("failed", "failed")]
    assert platform.events[-1]["error_type"] == "ChatPrivate"
    platform.tick()
    assert len(platform.events) == 2
    assert platform.queue.counts()["in_flight"] == 0


def test_the_sensor_finds_why_a_run_failed(platform: Platform) -> None:
    platform.pipeline.account.simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
    platform.push()
    (request,) = platform.tick().requests
    assert not unconnected(platform).execute(request).success
    platform.tick()
    last = platform.events[-1]
    assert (last["event"], last["error_type"], last["errors"]) == ("failed", "ChatPrivate", 1)
    assert "busy" in last["message"]


def die(platform: Platform, request: dg.RunRequest, *, started: bool = True) -> dg.DagsterRun:
    """The run of the request, as Dagster records it when its process was killed; while it was starting, or later."""
    instance = platform.pipeline.instance
    run = instance.add_run(dg.DagsterRun(job_name=str(request.job_name), tags=dict(request.tags)))
    if started:
        start = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=run.job_name)
        instance.report_dagster_event(start, run_id=run.run_id)
    instance.report_run_failed(run)
    return run


def test_a_run_that_was_killed_is_launched_again_and_its_command_completes_once(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    died = die(platform, request)
    (again,) = platform.tick().requests
    assert [platform.tick().requests[0].run_key] == [again.run_key] != [request.run_key], "Dagster launches it once"
    assert again.tags["tg/retry_of"] == died.run_id
    assert platform.reported == []
    assert platform.execute(replace_partition(again, DAY)).success
    platform.tick()
    assert [reported for reported in platform.reported if reported[0] != "progress"] == [
        ("started", "running"),
        ("completed", "success"),
    ]
    assert platform.events[-1]["errors"] == 1
    assert platform.queue.counts()["in_flight"] == 0


def replace_partition(request: dg.RunRequest, day: str) -> dg.RunRequest:
    """As `Platform.execute` wants it: a retry names its days by tags alone."""
    return dg.RunRequest(partition_key=day, tags=dict(request.tags))


def test_a_run_that_dies_each_time_fails_its_command_at_last(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    for _ in range(MAX_RETRIES):
        die(platform, request)
        assert platform.reported == []
        (request,) = platform.tick().requests
    die(platform, request)
    assert platform.tick().requests == []
    last = platform.events[-1]
    assert (last["event"], last["error_type"], last["errors"]) == ("failed", "RunDied", MAX_RETRIES + 1)
    assert platform.reported == [("started", "running"), ("failed", "failed")]


def test_attempts_that_never_started_do_not_count_for_long(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    for number in range(1, ATTEMPTS_MOST):
        die(platform, request, started=number == MAX_RETRIES)
        assert platform.reported == []
        (request,) = platform.tick().requests
    die(platform, request, started=False)
    assert platform.tick().requests == []
    assert platform.events[-1]["error_type"] == "RunDied"


def test_a_run_that_ends_with_dagster_is_launched_again(platform: Platform) -> None:
    account = platform.pipeline.account
    account.simulator.faults.add(Latency(method="messages.getHistory", ms=500))
    platform.push()
    (request,) = platform.tick().requests

    def end() -> None:
        assert wait_until(lambda: account.calls()["messages.getHistory"] == 1)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end)
    ending.start()
    platform.execute(request)
    ending.join()
    (again,) = platform.tick().requests
    assert again.tags["dagster/partition"] == DAY
    assert {status for _, status in platform.reported} == {"running"}


@pytest.mark.parametrize("status", [BulkActionStatus.REQUESTED, BulkActionStatus.COMPLETED_FAILED])
def test_a_backfills_runs_that_died_are_launched_again(platform: Platform, status: BulkActionStatus) -> None:
    platform.queue.push(json.dumps(range_of(first_days(2)) | {"strategy": "per_day"}))
    platform.tick()
    (flight,) = platform.queue.in_flight()
    instance = platform.pipeline.instance
    first, second = ({"dagster/partition": str(day)} | tags_of(flight.command) for day in first_days(2))
    die(platform, dg.RunRequest(job_name="per_day_busy", tags=first))
    assert platform.execute(replace_partition(dg.RunRequest(tags=second), second["dagster/partition"])).success
    backfill = instance.get_backfill(str(flight.command.backfill_id))
    assert backfill is not None
    instance.update_backfill(backfill.with_status(status))  # type: ignore[no-untyped-call]
    (again,) = platform.tick().requests
    assert (again.job_name, again.tags["dagster/partition"]) == ("per_day_busy", DAY)
    assert "completed" not in dict(platform.reported)
    assert platform.execute(replace_partition(again, DAY)).success
    platform.tick()
    assert [event["event"] for event in platform.events if event["event"] != "progress"] == ["started", "completed"]


@pytest.mark.parametrize("status", [BulkActionStatus.CANCELING, BulkActionStatus.CANCELED])
def test_nothing_of_a_canceled_backfill_is_launched_again(platform: Platform, status: BulkActionStatus) -> None:
    platform.queue.push(json.dumps(range_of(first_days(2)) | {"strategy": "per_day"}))
    platform.tick()
    (flight,) = platform.queue.in_flight()
    instance = platform.pipeline.instance
    die(platform, dg.RunRequest(job_name="per_day_busy", tags={"dagster/partition": DAY} | tags_of(flight.command)))
    backfill = instance.get_backfill(str(flight.command.backfill_id))
    assert backfill is not None
    instance.update_backfill(backfill.with_status(status))  # type: ignore[no-untyped-call]
    assert platform.tick().requests == []


def test_a_run_that_a_person_cancels_is_not_launched_again(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    instance = platform.pipeline.instance
    run = instance.add_run(dg.DagsterRun(job_name=str(request.job_name), tags=dict(request.tags)))
    instance.report_run_canceling(run)
    instance.report_run_canceled(run)
    assert platform.tick().requests == []
    assert platform.reported == [("started", "running"), ("failed", "canceled")]


def test_a_run_that_fails_after_its_days_are_archived_never_completes_its_command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checks, "evaluate_day", full_disk)
    platform.push()
    (request,) = platform.tick().requests
    assert not platform.execute(request).success
    platform.tick()
    assert platform.reported == [("started", "running"), ("progress", "running"), ("failed", "failed")]


def test_a_chat_that_is_removed_during_its_command_cancels_it(platform: Platform) -> None:
    platform.push()
    platform.queue.push(json.dumps(range_of(first_days(2), "other") | {"strategy": "per_day"}))
    (request,) = platform.tick().requests
    platform.tick()
    instance = platform.pipeline.instance
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("tg_pipeline"), REPOSITORY)
    queued = dg.DagsterRun(
        job_name=str(request.job_name),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.QUEUED,
        remote_job_origin=RemoteJobOrigin(repository, str(request.job_name)),
    )
    instance.add_run(queued)
    platform.pipeline.account.settings.chats_path.write_text("chats: []\n")
    platform.tick()
    assert platform.tick().requests == []
    (backfill,) = instance.get_backfills()
    assert backfill.status == BulkActionStatus.CANCELING
    instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]
    platform.tick()
    ends = [event for event in platform.events if event["event"] == "failed"]
    assert [(end["status"], end["error_type"]) for end in ends] == [("canceled", "ChatNotRegistered")] * 2


def test_a_run_that_fails_because_its_chat_was_removed_cancels_its_command(platform: Platform) -> None:
    platform.push()
    (request,) = platform.tick().requests
    platform.pipeline.account.settings.chats_path.write_text("chats: []\n")
    die(platform, request)  # its job is no more
    assert platform.tick().requests == []
    assert (platform.events[-1]["status"], platform.events[-1]["error_type"]) == ("canceled", "ChatNotRegistered")


def test_a_command_of_several_days_becomes_one_backfill(platform: Platform) -> None:
    platform.queue.push(json.dumps(range_of(first_days(3)) | {"strategy": "per_day"}))
    platform.queue.push(json.dumps(range_of(first_days(2), "other")))
    assert platform.tick().requests == []
    platform.tick()
    backfills = {b.tags["tg/chat"]: b for b in platform.pipeline.instance.get_backfills()}
    assert {slug: b.partition_names for slug, b in backfills.items()} == {
        "busy": [str(day) for day in first_days(3)],
        "other": [str(day) for day in first_days(2)],
    }
    assert [b.job_name for _, b in sorted(backfills.items())] == ["per_day_busy", "fetch_other"]


def test_a_backfill_that_is_canceled_ends_its_command_as_canceled(platform: Platform) -> None:
    platform.queue.push(json.dumps(range_of(first_days(3))))
    platform.tick()
    (flight,) = platform.queue.in_flight()
    instance = platform.pipeline.instance
    backfill = instance.get_backfill(str(flight.command.backfill_id))
    assert backfill is not None
    instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]
    platform.tick()
    assert platform.reported == [("started", "running"), ("failed", "canceled")]


def test_what_nobody_can_read_cancels_the_rest_of_the_backfill(platform: Platform) -> None:
    platform.pipeline.account.simulator.faults.add(Error(method="messages.getHistory", error="CHANNEL_PRIVATE"))
    platform.queue.push(json.dumps(range_of(first_days(3)) | {"strategy": "per_day"}))
    platform.tick()
    (flight,) = platform.queue.in_flight()
    day = dg.RunRequest(partition_key=DAY, tags=tags_of(flight.command))
    assert not platform.execute(day).success
    assert platform.reported == [("started", "running"), ("failed", "failed")]
    platform.tick()
    backfill = platform.pipeline.instance.get_backfill(str(flight.command.backfill_id))
    assert backfill is not None
    assert backfill.status == BulkActionStatus.CANCELING
    assert platform.queue.counts()["in_flight"] == 1, "until nothing of it runs"


def test_the_runs_of_a_backfill_end_it_before_the_daemon_looks(platform: Platform) -> None:
    platform.queue.push(json.dumps(range_of(first_days(2)) | {"strategy": "per_day"}))
    platform.tick()
    (flight,) = platform.queue.in_flight()
    for number, day in enumerate(first_days(2)):
        assert platform.execute(dg.RunRequest(partition_key=str(day), tags=tags_of(flight.command))).success
        platform.tick()
        assert ("completed" in dict(platform.reported)) == (number == 1)
    last = platform.events[-1]
    headers = [open_archive(platform.pipeline.account.settings).header("busy", day) for day in first_days(2)]
    assert last["processed"] == sum(header.message_count for header in headers if header)
    assert last["days_total"] == 2


def test_sealed_days_are_read_again_only_where_that_is_forced(platform: Platform) -> None:
    calls = [0]
    for options in ({}, {}, {"force": True}):
        platform.push(options=options)
        (request,) = platform.tick().requests
        assert platform.execute(request).success
        platform.tick()
        calls.append(platform.pipeline.account.calls()["messages.getHistory"])
    assert calls[1] > 0
    assert [after - before for before, after in pairwise(calls)] == [calls[1], 0, calls[1]]
    ends = [event for event in platform.events if event["event"] == "completed"]
    assert len({event["processed"] for event in ends}) == 1


def edit(platform: Platform, text: str) -> None:
    """Write the registry, with `busy` as text says and `other` as before."""
    other = f'  - {{slug: other, chat: "@other", start: {FIRST_DAY}}}\n'
    platform.pipeline.account.settings.chats_path.write_text(f"chats:\n{text}{other}")


def entry(slug: str = "busy", **fields: Any) -> str:
    values = {"slug": slug, "chat": '"@busy"', "start": FIRST_DAY} | fields
    return f"  - {{{', '.join(f'{key}: {value}' for key, value in values.items())}}}\n"


def test_days_before_the_first_are_left_out_and_that_is_said(platform: Platform) -> None:
    days = DayRange(FIRST_DAY - timedelta(10), FIRST_DAY)
    platform.queue.push(json.dumps(range_of(days)))
    (request,) = platform.tick().requests
    assert request.partition_key == DAY
    platform.execute(request)
    assert "were left out" in platform.events[0]["message"]
    assert platform.events[0]["params"]["from"] == str(days.first)


def test_days_before_a_start_that_was_moved_are_left_out_and_that_is_said(platform: Platform) -> None:
    platform.queue.push(json.dumps(range_of(first_days(2)) | {"strategy": "per_day"}))
    platform.tick()
    (flight,) = platform.queue.in_flight()
    edit(platform, entry(start=first_days(2).last))
    late = replace(platform, pipeline=Pipeline(platform.pipeline.account, platform.pipeline.instance))
    for day in first_days(2):
        tags = tags_of(flight.command) | {"dagster/partition": str(day)}
        assert late.execute(dg.RunRequest(tags=tags)).success
        late.tick()
    last = late.events[-1]
    assert (last["event"], last["status"], last["days_total"], last["days_done"]) == ("completed", "success", 2, 1)
    assert "left out" in last["message"]
    assert last["processed"] == 30


def test_a_run_of_a_chat_that_is_gone_tells_how_it_ended(platform: Platform) -> None:
    instance = platform.pipeline.instance
    run = instance.add_run(dg.DagsterRun(job_name="fetch_gone", tags={"tg/chat": "gone", "dagster/partition": DAY}))
    instance.report_run_failed(run)
    publish_ended(platform)
    assert (platform.events[-1]["status"], platform.events[-1]["error_type"]) == ("failed", "ChatNotRegistered")


def test_a_run_that_no_command_caused_tells_of_itself(platform: Platform) -> None:
    platform.pipeline.run("busy", first_days(2))
    publish_ended(platform)
    assert platform.reported == [("started", "running"), ("progress", "running"), ("completed", "success")]
    (run,) = platform.pipeline.instance.get_runs()
    assert {event["command_id"] for event in platform.events} == {run.run_id}
    assert platform.events[-1]["params"] == {"from": DAY, "to": str(first_days(2).last)}


def test_runs_that_could_not_tell_their_end_are_told_of_once(platform: Platform) -> None:
    unconnected(platform).pipeline.run("busy", first_days(2))
    assert publish_ended(platform, before=BEFORE) == (BEFORE, {}), "left for later"
    until, done = publish_ended(platform)
    assert done == {"published": 1}
    assert platform.reported == [("started", "running"), ("completed", "success")]
    assert publish_ended(platform, since=until) == (until, {})
    assert publish_ended(platform)[1]["published"] == 0


def test_a_command_that_redis_has_lost_ends_by_what_its_run_carries(platform: Platform, redis_url: str) -> None:
    platform.push()
    (request,) = platform.tick().requests
    (command,) = [flight.command for flight in platform.queue.in_flight()]
    assert unconnected(platform).execute(request).success
    assert publish_ended(platform)[1]["published"] == 0, "the sensor of commands sees to it"
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert publish_ended(platform)[1]["published"] == 1
    assert platform.reported == [("started", "running"), ("completed", "success")]
    assert {event["command_id"] for event in platform.events} == {command.id}
    assert publish_ended(platform)[1]["published"] == 0


def test_a_lost_command_whose_end_is_looked_at_late_is_published_while_redis_would_still_know_of_it(
    platform: Platform, redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.push()
    (request,) = platform.tick().requests
    assert unconnected(platform).execute(request).success
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    platform.queue.ttl_seconds = 0  # the time for repetitions is over, as it is where nothing ran for an hour
    with monkeypatch.context() as patch:
        patch.setattr(ended_runs, "MARKS_TTL_SECONDS", 0)
        assert publish_ended(platform)[1]["published"] == 0
        assert [record.levelname for record in caplog.records if record.name == ended_runs.__name__] == ["WARNING"]
    assert publish_ended(platform)[1]["published"] == 1
    assert platform.reported == [("started", "running"), ("completed", "success")]


def test_a_run_that_dagster_retries_is_one_in_its_events(platform: Platform) -> None:
    instance = platform.pipeline.instance
    died = instance.add_run(dg.DagsterRun(job_name="fetch_busy", tags={"tg/chat": "busy", "dagster/partition": DAY}))
    instance.report_run_failed(died)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert publish_ended(platform, before=soon) == (BEFORE, {}), "its retry is not launched yet"
    retry = dg.DagsterRun(
        job_name="fetch_busy",
        tags={"tg/chat": "busy", "dagster/partition": DAY, "dagster/retry_number": "1"},
        root_run_id=died.run_id,
        parent_run_id=died.run_id,
    )
    instance.add_run(retry)
    instance.add_run_tags(died.run_id, {"dagster/auto_retry_run_id": retry.run_id})
    publish_ended(platform)
    assert platform.reported == []
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "fetch_busy"), run_id=retry.run_id
    )
    publish_ended(platform)
    assert platform.reported == [("started", "running"), ("completed", "success")]
    assert {event["command_id"] for event in platform.events} == {died.run_id}


def test_a_retry_that_never_comes_ends_its_run_as_failed(platform: Platform) -> None:
    instance = platform.pipeline.instance
    died = instance.add_run(dg.DagsterRun(job_name="fetch_busy", tags={"tg/chat": "busy", "dagster/partition": DAY}))
    instance.report_run_failed(died)
    publish_ended(platform, before=datetime.now(UTC) + RETRY_WITHIN)
    assert platform.reported == [("started", "running"), ("failed", "failed")]


def test_one_bad_run_does_not_stop_the_sensors_for_others(platform: Platform) -> None:
    instance = platform.pipeline.instance
    keys = frozenset({dg.AssetKey("one_part"), dg.AssetKey(["telegram", "busy", "messages"])})
    for tags in ({"dagster/partition": "no day"}, {"dagster/partition": DAY}):
        run = instance.add_run(dg.DagsterRun(job_name="job", asset_selection=keys, tags=tags))
        instance.report_run_canceled(run)
    _, done = publish_ended(platform)
    assert done == {"skipped": 1, "published": 1}
    assert platform.reported == [("started", "running"), ("failed", "canceled")]


def of_both(platform: Platform, **options: Any) -> dg.ExecuteInProcessResult:
    """One run over both chats."""
    job = platform.pipeline.defs.get_repository_def().get_job("__ASSET_JOB")
    return job.execute_in_process(
        instance=platform.pipeline.instance,
        asset_selection=[messages_key("busy"), messages_key("other")],
        partition_key=DAY,
        raise_on_error=False,
        **options,
    )


def test_of_a_run_over_chats_each_chat_has_its_own_end(platform: Platform) -> None:
    run_id = of_both(platform).run_id  # nobody has the username of the other
    publish_ended(platform)
    ends = {e["chat"]: e for e in platform.events if e["event"] in {"completed", "failed"}}
    assert {chat: (e["event"], e["command_id"]) for chat, e in ends.items()} == {
        "@busy": ("completed", f"{run_id}:busy"),
        "@other": ("failed", f"{run_id}:other"),
    }
    assert (ends["@busy"]["processed"], ends["@busy"]["errors"]) == (30, 0)
    assert ends["@other"]["error_type"] == "UsernameUnknown"
    assert [e["event"] for e in platform.events].count("started") == 2


def test_the_end_of_a_retry_counts_what_the_run_before_has_done(platform: Platform) -> None:
    instance = platform.pipeline.instance
    first, began = of_both(platform), datetime.now(UTC)
    retry = instance.add_run(
        dg.DagsterRun(
            job_name="__ASSET_JOB",
            asset_selection=first.dagster_run.asset_selection,
            root_run_id=first.run_id,
            parent_run_id=first.run_id,
            step_keys_to_execute=[messages_step("other")],
            tags={
                "dagster/partition": DAY,
                "dagster/retry_number": "1",
                "dagster/root_run_id": first.run_id,
                "dagster/parent_run_id": first.run_id,
            },
        )
    )
    instance.report_run_failed(retry)
    publish_ended(platform, since=began)
    ends = {e["chat"]: e["event"] for e in platform.events if e["event"] in {"completed", "failed"}}
    assert ends == {"@busy": "completed", "@other": "failed"}


def publish_ended(
    platform: Platform, *, since: datetime = BEFORE, before: datetime = AFTER
) -> tuple[datetime, Counter[str]]:
    """As the sensor `ended_runs` does."""
    chats = {chat.slug: chat for chat in load_registry(platform.pipeline.account.settings.chats_path)}
    launcher = DagsterLauncher(platform.pipeline.instance, platform.pipeline.account.settings.backfill_days_per_run)
    return publish_ended_runs(launcher, platform.queue, chats, since, before)


def test_a_fetch_does_not_wait_for_a_redis_that_is_away_and_logs_it_with_its_command(platform: Platform) -> None:
    platform.push(command_id=ID)
    (request,) = platform.tick().requests

    def publishers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "events"}

    others = publishers()  # of runs that died in earlier tests
    with json_lines() as written:
        assert changed(platform, redis_url=SecretStr("redis://127.0.0.1:1/0")).execute(request).success
        assert wait_until(lambda: not publishers() - others, 60), "gave up"
        of_publishing = [
            line
            for line in written()
            if line["logger"].startswith(("tg_pipeline.bus", "tg_pipeline.state", "tg_pipeline.resilience"))
        ]
    assert len(of_publishing) >= 3, "away, an attempt, given up"
    assert {line.get("command_id") for line in of_publishing} == {ID}
    assert len([line for line in of_publishing if line["logger"].startswith("tg_pipeline.state")]) == 1
    counts.stop()
    home = platform.pipeline.account.settings.home
    assert not [path for path in open_files() if home / "state" in path.parents], "closed, not left to the collector"


def test_sensors_log_once_that_redis_is_away(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    settings, away = platform.pipeline.account.settings, CommandQueue("redis://127.0.0.1:1/0")
    sensors = [commands.commands_sensor(settings, away, [], []), ended_runs_sensor(away, [], days_per_run=1)]
    for sensor in 2 * sensors:
        with dg.build_sensor_context(instance=platform.pipeline.instance) as context:
            assert sensor.evaluate_tick(context).skip_message
    assert len([record for record in caplog.records if "Redis at" in record.getMessage()]) == 1
