"""Spans of runs and commands, as a collector gets them."""

import logging
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from tg_pipeline.app.process import keep_traces
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.defs.tracing import traces_sensor
from tg_pipeline.observability import traces
from tg_pipeline.simulator import Error
from tg_pipeline_tests.defs.pipeline import Pipeline, pipeline
from tg_pipeline_tests.defs.servers import launch
from tg_pipeline_tests.live_platform import CHATS, COLLECTOR_SECRET, LivePlatform
from tg_pipeline_tests.otlp import Collector, Span, collector
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import first_days, plain_world

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
HISTORY = "messages.getHistory"


@pytest.fixture
def otlp() -> Iterator[Collector]:
    with collector() as found:
        yield found
        traces.stop_sending()


def reported(found: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the sensor tells of ended runs, without waiting for them to settle."""
    monkeypatch.setattr("tg_pipeline.dagster_client.runs.SETTLED_SECONDS", -3_600.0)
    with dg.build_sensor_context(instance=found.instance, cursor=LONG_AGO) as context:
        traces_sensor().evaluate_tick(context)
    traces.send_now()


def test_a_run_is_a_trace_down_to_its_calls(tmp_path: Path, otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    with pipeline(plain_world(), tmp_path, "busy", otel_exporter_otlp_endpoint=SecretStr(otlp.url)) as found:
        result = found.run("busy", first_days(3))
        reported(found, monkeypatch)
        calls = Counter(entry["method"] for entry in found.account.simulator.journal)
    (run,) = otlp.named("run")
    assert run.trace == result.run_id.replace("-", "")
    assert {span.trace for span in otlp.spans} == {run.trace}
    assert (run.parent, run.failed, run.about["dagster.status"]) == ("", False, "SUCCESS")
    (asset,) = otlp.named("asset telegram/busy/messages")
    assert otlp.above(asset) == ["asset", "run"]
    assert run.begin <= asset.begin < asset.end <= run.end
    pages = otlp.named("page")
    assert {tuple(otlp.above(page)) for page in pages} == {("page", "asset", "run")}
    assert {tuple(otlp.above(call)) for call in otlp.named(HISTORY)} == {(HISTORY, "page", "asset", "run")}
    assert len(otlp.named(HISTORY)) == calls[HISTORY] >= len(pages) > 0


def test_a_run_that_cannot_be_traced_holds_up_no_other(
    tmp_path: Path, otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline(plain_world(), tmp_path, "busy", otel_exporter_otlp_endpoint=SecretStr(otlp.url)) as found:
        keep_traces(found.account.settings)
        one_part = frozenset({dg.AssetKey("one_part")})
        bad, good = (
            found.instance.add_run(dg.DagsterRun(job_name="job", asset_selection=one_part, tags=tags))
            for tags in ({"tg/command": "no command"}, {})
        )
        for run in (bad, good):
            found.instance.report_run_canceled(run)
        reported(found, monkeypatch)
    (span,) = otlp.named("run")
    assert span.about["dagster.run_id"] == good.run_id


def test_an_error_is_told_by_its_class_and_not_by_its_sentence(
    tmp_path: Path, otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline(plain_world(), tmp_path, "busy", otel_exporter_otlp_endpoint=SecretStr(otlp.url)) as found:
        found.account.simulator.faults.add(Error(method=HISTORY, error="CHANNEL_PRIVATE"))
        assert not found.run("busy", first_days(1), raise_on_error=False).success
        reported(found, monkeypatch)
    (run,) = otlp.named("run")
    (asset,) = otlp.named("asset telegram/busy/messages")
    assert run.failed
    assert asset.failed
    assert run.about["error.type"] == asset.about["error.type"] == "ChatPrivate"
    assert not any(b"CHANNEL_PRIVATE" in body or b"cannot be read" in body for body in otlp.raw)


def test_a_collector_that_is_away_or_fails_costs_a_fetch_nothing_but_a_line(
    tmp_path: Path, otlp: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    otlp.status = 400
    with pipeline(plain_world(), tmp_path, "busy", otel_exporter_otlp_endpoint=SecretStr(otlp.url)) as found:
        assert found.run("busy", first_days(1)).success
        assert found.run("busy", first_days(2)).success
    ours = [record for record in caplog.records if record.name.startswith("tg_pipeline")]
    lost = [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
    (line,) = lost
    assert line.startswith("Traces are lost: ")
    assert otlp.url.removeprefix("http://") in line


@pytest.mark.slow
def test_a_collector_that_never_answers_does_not_hold_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pipeline(plain_world(), tmp_path, "busy", otel_exporter_otlp_endpoint=SecretStr(endpoint)) as found:
            assert found.run("busy", first_days(1)).success
        traces.stop_sending()
    assert caplog.text.count("Traces are lost") == 1


def test_without_a_collector_nothing_is_traced(tmp_path: Path) -> None:
    with pipeline(plain_world(), tmp_path, "busy") as found:
        assert "traces" not in {sensor.name for sensor in found.defs.sensors or ()}
        assert found.run("busy", first_days(1)).success
    assert not traces.is_tracing()


@pytest.mark.slow
@pytest.mark.xdist_group("live")
def test_a_command_is_one_trace_across_processes(live: LivePlatform) -> None:
    id_ = "5d1c1c55-6d0f-4f6c-8a44-1c8f2b9a7e33"
    trace = id_.replace("-", "")

    def ours() -> list[Span]:
        return [span for span in live.otlp.spans if span.trace == trace]

    def names() -> Counter[str]:
        return Counter(span.name for span in ours())

    live.push(command_id=id_, chat="@traced", mode="days", days=3, strategy="per_day")
    assert wait_until(lambda: bool(names()["command"]) and names()["run"] == 3, 240), live.end_of_log
    start = CHATS["traced"].start
    alone = launch(live.url, "traced", DayRange(start, start))
    of_run = alone.replace("-", "")
    assert wait_until(lambda: ("run", of_run) in {(s.name, s.trace) for s in live.otlp.spans}, 120), live.end_of_log
    with open_instance(live.account.settings) as instance:
        runs = {run.run_id for run in instance.get_runs(dg.RunsFilter(tags={"tg/command_id": id_}))}
    (root,) = [span for span in ours() if not span.parent]
    assert (root.name, root.about["tg.status"], root.about["tg.days"]) == ("command", "success", "3")
    chains = {tuple(live.otlp.above(span)) for span in ours()}
    to_run = ("run", "backfill", "command")
    assert {
        ("command",),
        to_run[1:],
        to_run,
        ("asset", *to_run),
        ("page", "asset", *to_run),
        (HISTORY, "page", "asset", *to_run),
    } <= chains
    assert {span.about["dagster.run_id"] for span in ours() if span.name == "run"} == runs
    assert len(runs) == len([span for span in ours() if span.name.startswith("asset")]) == 3
    of_this_run = [span for span in live.otlp.spans if span.about.get("dagster.run_id") == alone]
    assert of_this_run
    assert {span.trace for span in of_this_run} == {of_run}
    assert {len(live.otlp.above(span)) for span in live.otlp.spans if span.trace == of_run} <= {1, 2, 3, 4}
    assert {headers["authorization"] for headers in live.otlp.headers} == {f"Bearer {COLLECTOR_SECRET}"}
    assert COLLECTOR_SECRET not in live.log.read_text()
