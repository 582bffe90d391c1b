"""Backfills and reloads through a real webserver; nothing runs, as there is no daemon."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.execution.backfill import BulkActionStatus

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.dagster_client.backfills import BackfillState, backfill_state, launch_backfill, wait_backfill
from tg_pipeline.dagster_client.instance import open_instance, report_days
from tg_pipeline.dagster_client.webserver import (
    UNREACHABLE,
    CodeServerUnreachable,
    NobodyAnswers,
    WebserverError,
    ask,
    reload_code_location,
    webserver_url,
    write_webserver_url,
)
from tg_pipeline.settings import Settings
from tg_pipeline_tests.defs.pipeline import INSTANCE_FILE, register
from tg_pipeline_tests.defs.servers import serving
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("webserver")]

SECRETS = {
    "TELEGRAM_API_HASH": "0123456789abcdef0123456789abcdef",
    "TELEGRAM_SESSIONS": "hunter2,hunter3",
    "TELEGRAM_PROXY": "socks5://me:hunter4@127.0.0.1:1",
    "PUSHGATEWAY_URL": "http://me:hunter5@127.0.0.1:1",
}
RESOURCES = """
{ allTopLevelResourceDetailsOrError(
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "tg_pipeline"}
  ) {
    ... on ResourceDetailsList {
      results { name configuredValues { key value type } configFields { name description }}
    }
    ... on Error { message }
  }
}
"""
JOB = """
{ runConfigSchemaOrError(
    selector: {repositoryName: "__repository__", repositoryLocationName: "tg_pipeline", pipelineName: "fetch_a"}
  ) {
    ... on RunConfigSchema { rootDefaultYaml }
    ... on Error { message }
  }
}
"""
RANGES = {"a": first_days(3), "b-c": first_days(2)}


@dataclass(frozen=True)
class Webserver:
    url: str
    home: Path
    settings: Settings
    instance: DagsterInstance


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webserver]:
    """Dagster's webserver on two chats, `a` and `b-c`."""
    home = tmp_path_factory.mktemp("webserver")
    register(home, "a", "b-c")
    (home / "dagster.yaml").write_text(INSTANCE_FILE)
    settings = Settings(_env_file=None, chats_file=home / "chats.yaml", dagster_home=home, data_uri=str(home / "data"))
    environment = {"CHATS_FILE": str(home / "chats.yaml"), "DAGSTER_HOME": str(home), "DATA_URI": str(home / "data")}
    environment |= SECRETS
    with (
        serving("dagster_webserver", environment=environment, log=home / "log") as url,
        open_instance(settings) as instance,
    ):
        yield Webserver(url, home, settings, instance)


def committed(days: DayRange) -> list[CommittedDay]:
    return [CommittedDay(day, "/x", 0, None, None, "0" * 64, sealed=True, size_bytes=1) for day in days]


def test_a_backfill_is_one_for_all_chats_each_over_its_own_days(webserver: Webserver) -> None:
    launched = webserver.instance.get_backfill(launch_backfill(webserver.url, RANGES, title="Two chats"))
    assert launched is not None
    assert launched.title == "Two chats"
    assert launched.asset_selection is not None
    assert {key.path[1] for key in launched.asset_selection} == {"a", "b-c"}


def test_days_count_from_the_launch_on(webserver: Webserver) -> None:
    report_days(webserver.instance, "a", committed(first_days(3)))
    backfill = launch_backfill(webserver.url, RANGES)
    assert backfill_state(webserver.url, backfill, RANGES).days_done == {"a": 0, "b-c": 0}

    report_days(webserver.instance, "a", committed(first_days(2)))
    report_days(webserver.instance, "b-c", committed(first_days(2)))

    state = backfill_state(webserver.url, backfill, RANGES)
    assert state == BackfillState(days_done={"a": 2, "b-c": 2}, days_total=5, finished=False)


def test_a_run_that_was_retried_does_not_count_as_failed(webserver: Webserver) -> None:
    backfill = launch_backfill(webserver.url, RANGES)
    instance = webserver.instance
    failed, retried = (
        instance.add_run(dg.DagsterRun(job_name="job", tags={"dagster/backfill": backfill, **tags}))
        for tags in ({}, {"dagster/auto_retry_run_id": "another"})
    )
    for run in (failed, retried):
        instance.report_run_failed(run)
    assert backfill_state(webserver.url, backfill, RANGES).failed_runs == (failed.run_id,)


def test_waiting_ends_when_the_backfill_does(webserver: Webserver) -> None:
    backfill = launch_backfill(webserver.url, RANGES)
    looks: list[BackfillState] = []

    def cancel_at_the_second_look(state: BackfillState) -> None:
        looks.append(state)
        if len(looks) == 2:
            found = webserver.instance.get_backfill(backfill)
            assert found is not None
            webserver.instance.update_backfill(found.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]

    naps: list[float] = []
    last = wait_backfill(webserver.url, backfill, RANGES, on_state=cancel_at_the_second_look, sleep=naps.append)

    assert [look.finished for look in looks] == [False, False, True]
    assert len(naps) == 2
    assert last.finished
    assert not last.succeeded


def test_success_is_every_day_and_no_failed_run() -> None:
    done = BackfillState(days_done={"a": 3}, days_total=3, finished=True)
    assert done.succeeded
    assert not replace(done, days_done={"a": 2}).succeeded
    assert not replace(done, failed_runs=("x",)).succeeded
    assert not replace(done, finished=False).succeeded


def test_a_chat_that_dagster_has_not_loaded_is_named(webserver: Webserver) -> None:
    with pytest.raises(WebserverError, match=r"\bnobody\b"):
        launch_backfill(webserver.url, {"a": first_days(1), "nobody": first_days(1)})


def test_days_before_the_chat_begins_are_refused(webserver: Webserver) -> None:
    with pytest.raises(WebserverError, match="before the partitions definition start"):
        launch_backfill(webserver.url, {"a": DayRange(FIRST_DAY - timedelta(days=1), FIRST_DAY)})


def test_days_in_the_future_are_refused(webserver: Webserver) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    with pytest.raises(InputError, match=str(tomorrow)) as refused:
        launch_backfill(webserver.url, {"a": DayRange(FIRST_DAY, tomorrow)})
    assert refused.value.field == "to"


def test_resources_show_every_setting_and_no_secret(webserver: Webserver) -> None:
    found = ask(webserver.url, RESOURCES)["results"]
    shown = {resource["name"]: resource["configuredValues"] for resource in found}
    values = {value["key"]: json.loads(value["value"]) for value in shown["telegram"]}
    assert values["values"]["chats_file"] == str(webserver.home / "chats.yaml")
    assert values["secrets"] == {key.lower(): {"env": key} for key in SECRETS}
    everything = json.dumps([found, ask(webserver.url, JOB)])
    hidden = [secret for value in SECRETS.values() for secret in value.split(",")]
    assert not [secret for secret in (*hidden, "hunter") if secret in everything]


def test_a_backfill_that_is_not_there_is_an_error(webserver: Webserver) -> None:
    with pytest.raises(WebserverError, match="nope"):
        backfill_state(webserver.url, "nope", RANGES)


def test_a_chat_that_was_added_is_there_after_a_reload(webserver: Webserver) -> None:
    register(webserver.home, "a", "b-c", "late")
    reload_code_location(webserver.url)
    assert launch_backfill(webserver.url, {"late": first_days(1)})


def test_a_reload_of_wrong_chats_says_what_is_wrong_in_a_sentence(webserver: Webserver) -> None:
    (webserver.home / "chats.yaml").write_text("chats: 5\n")
    try:
        with pytest.raises(WebserverError) as raised:
            reload_code_location(webserver.url)
    finally:
        register(webserver.home, "a", "b-c")
        reload_code_location(webserver.url)
    assert str(raised.value).startswith(f"Dagster cannot load the definitions: {webserver.home / 'chats.yaml'}")
    assert "\n" not in str(raised.value)


def test_a_location_of_another_name_is_an_error(webserver: Webserver) -> None:
    with pytest.raises(WebserverError, match="other"):
        reload_code_location(webserver.url, "other")


def test_a_query_that_dagster_does_not_understand_is_an_error(webserver: Webserver) -> None:
    with pytest.raises(WebserverError, match="refuses the query"):
        ask(webserver.url, "{ nonsense }")


def test_a_webserver_that_is_none_is_an_error(webserver: Webserver) -> None:
    with pytest.raises(WebserverError, match=r"/somewhere/else\b"):
        ask(f"{webserver.url}/somewhere/else", "{ version }")


def test_nobody_there_is_a_sentence() -> None:
    with pytest.raises(NobodyAnswers, match=r"^Dagster does not answer at http://127\.0\.0\.1:"):
        ask(f"http://127.0.0.1:{port_of_ours()}", "{ version }")


def unreachable(message: str) -> dict[str, Any]:
    """A PythonError as Dagster answers it while the code server is dead."""
    chain = [{"error": {"message": "grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated ...>"}}]
    return {"__typename": "PythonError", "message": message, "errorChain": chain}


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"reload": {"locationOrLoadError": unreachable(UNREACHABLE)}}},
        {"data": {"reload": unreachable(UNREACHABLE)}},
        {"errors": [{"message": f"dagster._core.errors.{UNREACHABLE}: Could not reach user code server."}]},
    ],
    ids=["of the location", "of the reload", "of the query"],
)
def test_a_code_server_that_is_dead_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr("tg_pipeline.dagster_client.webserver._post", lambda *_: answer)
    with pytest.raises(CodeServerUnreachable) as raised:
        reload_code_location("http://127.0.0.1:3000")
    assert "Rpc" not in str(raised.value)


def test_an_instance_remembers_where_its_webserver_listens(tmp_path: Path) -> None:
    assert webserver_url(tmp_path) == "http://127.0.0.1:3000"
    write_webserver_url(tmp_path, "http://127.0.0.1:4000")
    assert webserver_url(tmp_path) == "http://127.0.0.1:4000"
