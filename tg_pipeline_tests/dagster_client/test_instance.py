from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.tags import TagConcurrencyLimitsCounter

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.dagster_client.instance import open_instance, report_days, set_pool_limits
from tg_pipeline.dagster_client.names import CHAT_TAG, POOL
from tg_pipeline.settings import PROJECT_DIRECTORY, Settings
from tg_pipeline.simulator import Simulator
from tg_pipeline_tests.defs.pipeline import INSTANCE_FILE, Pipeline
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days, plain_world, settings_for


def limit(home: Path, sessions: int, fetch_concurrency: int) -> int:
    """The limit of the pool, as Dagster has it, after it was set for so many sessions."""
    (home / "instance").mkdir()
    (home / "instance" / "dagster.yaml").write_text(INSTANCE_FILE)
    with Simulator(plain_world()) as simulator:
        settings = settings_for(
            simulator,
            home,
            sessions=[simulator.new_session() for _ in range(sessions)],
            fetch_concurrency=fetch_concurrency,
        )
        with open_instance(settings) as instance:
            set_limit = set_pool_limits(instance, settings)
            (found,) = [p for p in instance.event_log_storage.get_pool_limits() if p.name == POOL]
    assert found.limit == set_limit
    return set_limit


def test_as_many_runs_at_once_as_there_are_sessions(tmp_path: Path) -> None:
    assert limit(tmp_path, sessions=3, fetch_concurrency=8) == 3


def test_but_no_more_than_are_wanted(tmp_path: Path) -> None:
    assert limit(tmp_path, sessions=3, fetch_concurrency=2) == 2


def test_without_a_session_one_run_at_a_time_fails_with_its_sentence(tmp_path: Path) -> None:
    assert limit(tmp_path, sessions=0, fetch_concurrency=2) == 1


def test_days_fetched_without_dagster_are_green_like_others(busy: Pipeline) -> None:
    report = busy.account.fetch("busy", first_days(3))

    assert report_days(busy.instance, "busy", report.days) == 3

    assert busy.green("busy") == {str(day) for day in first_days(3)}
    assert busy.latest("busy", FIRST_DAY).metadata["dagster/row_count"].value == 30


def test_dagster_is_told_of_what_is_new_to_it_only(busy: Pipeline) -> None:
    report_days(busy.instance, "busy", busy.account.fetch("busy", first_days(3)).days)

    again = busy.account.fetch("busy", first_days(5))

    assert report_days(busy.instance, "busy", again.days) == 2
    assert report_days(busy.instance, "busy", [*again.days[:2], replace(again.days[2], changed=True)]) == 1
    assert busy.green("busy") == {str(day) for day in first_days(5)}


def test_a_home_that_is_not_there_is_made(tmp_path: Path) -> None:
    with Simulator(plain_world()) as simulator:
        settings = settings_for(simulator, tmp_path / "deep" / "er", sessions=[simulator.session])
        with open_instance(settings) as instance:
            assert instance.root_directory == str(settings.home)


@pytest.mark.parametrize("text", ["{{{", "no_such_key: 1\n"])
def test_a_dagster_yaml_that_is_wrong_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "dagster.yaml").write_text(text)
    with pytest.raises(SettingsError, match="cannot be used"):
        open_instance(Settings(dagster_home=tmp_path))


def test_a_chat_has_one_run_at_a_time_and_its_others_wait_in_the_queue(tmp_path: Path) -> None:
    """The limits are those of the dagster.yaml that is shipped, as Dagster's queue applies them."""
    (tmp_path / "dagster.yaml").symlink_to(PROJECT_DIRECTORY / "dagster.yaml")
    with open_instance(Settings(_env_file=None, dagster_home=tmp_path)) as instance:
        config = instance.get_concurrency_config().run_queue_config
    assert config is not None
    running, same, other = (dg.DagsterRun(job_name="job", tags={CHAT_TAG: slug}) for slug in ("a", "a", "b"))
    queue = TagConcurrencyLimitsCounter(config.tag_concurrency_limits, [running])
    assert queue.is_blocked(same)
    assert not queue.is_blocked(other)
    assert not queue.is_blocked(dg.DagsterRun(job_name="job"))
