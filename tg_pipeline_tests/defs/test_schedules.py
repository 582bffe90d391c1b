from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.definitions.schedule_definition import ScheduleExecutionData

from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline_tests.defs.pipeline import Pipeline, pipeline, register
from tg_pipeline_tests.telegram_account import FIRST_DAY, plain_world

AFTER_THE_FIRST_DAY = datetime.combine(FIRST_DAY + timedelta(days=1), datetime.min.time(), UTC) + timedelta(minutes=20)


def tick(pipeline: Pipeline, at: datetime) -> ScheduleExecutionData:
    schedule = pipeline.defs.resolve_schedule_def("fetch_yesterday")
    context = dg.build_schedule_context(
        instance=pipeline.instance, scheduled_execution_time=at, repository_def=pipeline.defs.get_repository_def()
    )
    return schedule.evaluate_tick(context)


def test_every_chat_gets_a_run_of_the_day_before(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path, "busy", "other") as found:
        requests = tick(found, AFTER_THE_FIRST_DAY).run_requests
    assert requests is not None
    assert [(r.run_key, r.asset_selection, r.tags["tg/chat"]) for r in requests] == [
        (f"{slug}:{FIRST_DAY}", [messages_key(slug)], slug) for slug in ("busy", "other")
    ]


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
    assert [request.run_key for request in requests] == [f"busy:{FIRST_DAY}"]


def test_before_any_chat_begins_it_says_why_it_does_nothing(busy: Pipeline) -> None:
    found = tick(busy, AFTER_THE_FIRST_DAY - timedelta(days=1))
    assert not found.run_requests
    assert found.skip_message == "No chat has a partition for 2023-12-31."


def test_it_runs_only_once_somebody_starts_it(busy: Pipeline) -> None:
    schedule = busy.defs.resolve_schedule_def("fetch_yesterday")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "20 0 * * *"
    assert schedule.execution_timezone == "UTC"
