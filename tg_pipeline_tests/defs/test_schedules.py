from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.definitions.schedule_definition import ScheduleExecutionData

from tg_pipeline.app.login import sessions_here
from tg_pipeline_tests.defs.pipeline import Pipeline, pipeline, register, secrets_in_environment
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, plain_world

AFTER_THE_FIRST_DAY = datetime.combine(FIRST_DAY + timedelta(days=1), datetime.min.time(), UTC) + timedelta(minutes=20)


def tick(pipeline: Pipeline, at: datetime) -> ScheduleExecutionData:
    schedule = pipeline.defs.resolve_schedule_def("fetch_yesterday")
    context = dg.build_schedule_context(
        instance=pipeline.instance, scheduled_execution_time=at, repository_def=pipeline.defs.get_repository_def()
    )
    return schedule.evaluate_tick(context)


def selections(requests: Sequence[dg.RunRequest] | None) -> list[set[str]]:
    """The chats of each run."""
    return [{key.path[1] for key in request.asset_selection or ()} for request in requests or ()]


def test_one_run_fetches_the_day_before_of_every_chat(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path, "busy", "other") as found:
        requests = tick(found, AFTER_THE_FIRST_DAY).run_requests
    assert selections(requests) == [{"busy", "other"}]
    assert requests is not None
    assert (requests[0].tags["dagster/partition"], "tg/chat" in requests[0].tags) == (str(FIRST_DAY), False)


def test_chats_are_divided_among_the_sessions(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path, "a", "b", "c", "d", "e") as one:
        sessions = [one.account.simulator.session, one.account.simulator.new_session()]
        two = Pipeline(Account(one.account.simulator, tmp_path, sessions=sessions), one.instance)
        with secrets_in_environment(two.account.settings):
            first, again = (tick(two, AFTER_THE_FIRST_DAY).run_requests or [] for _ in range(2))
        fingerprints = list(sessions_here(two.account.settings))
    assert [len(share) for share in selections(first)] == [3, 2]
    assert set.union(*selections(first)) == set("abcde")
    assert [request.tags["tg/session"] for request in first] == fingerprints
    assert [request.run_key for request in first] == [request.run_key for request in again]
    assert len({request.run_key for request in first}) == 2


def test_a_run_of_one_chat_waits_in_the_queue_for_others_of_that_chat(busy: Pipeline) -> None:
    requests = tick(busy, AFTER_THE_FIRST_DAY).run_requests
    assert requests
    assert requests[0].tags["tg/chat"] == "busy"


def test_a_requested_run_fetches_the_day_and_checks_it(busy: Pipeline) -> None:
    requests = tick(busy, AFTER_THE_FIRST_DAY).run_requests
    assert requests
    schedule = busy.defs.resolve_schedule_def("fetch_yesterday")
    job = busy.defs.get_repository_def().get_job(schedule.job_name)

    result = job.get_subset(asset_selection=set(requests[0].asset_selection or [])).execute_in_process(
        instance=busy.instance, tags=requests[0].tags
    )

    assert result.success
    assert busy.green("busy") == {str(FIRST_DAY)}


def test_a_chat_that_begins_later_is_left_out(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path) as found:
        register(tmp_path, "busy")
        with (tmp_path / "chats.yaml").open("a") as file:
            file.write(f"  - {{slug: young, chat: '@young', start: {FIRST_DAY + timedelta(days=1)}}}\n")
        requests = tick(found, AFTER_THE_FIRST_DAY).run_requests
    assert requests is not None
    assert selections(requests) == [{"busy"}]


def test_before_any_chat_begins_it_says_why_it_does_nothing(busy: Pipeline) -> None:
    found = tick(busy, AFTER_THE_FIRST_DAY - timedelta(days=1))
    assert not found.run_requests
    assert found.skip_message == "No chat has a partition for 2023-12-31."


def test_it_runs_only_once_somebody_starts_it(busy: Pipeline) -> None:
    schedule = busy.defs.resolve_schedule_def("fetch_yesterday")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "20 0 * * *"
    assert schedule.execution_timezone == "UTC"
