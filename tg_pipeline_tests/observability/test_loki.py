"""Loki down, slow or failing: nothing waits for it, nothing grows, nothing goes round in circles."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tg_pipeline.observability import loki as module
from tg_pipeline.observability.logs import json_formatter
from tg_pipeline.observability.loki import BATCH_LINES, QUEUE_LINES, LokiHandler
from tg_pipeline_tests.contracts.schema_checks import check_log
from tg_pipeline_tests.live_simulator import live_simulator, program
from tg_pipeline_tests.loki import Loki, loki
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.processes import wait_until

UNREACHED = "do not reach Loki"

log = logging.getLogger("tg_pipeline.somewhere")


@pytest.fixture
def server() -> Iterator[Loki]:
    with loki() as found:
        yield found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up because the machine is busy."""
    monkeypatch.setattr(module, "BATCH_SECONDS", 0.1)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 60.0)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 60.0)


def handler_to(url: str) -> LokiHandler:
    handler = LokiHandler(url)
    handler.setFormatter(json_formatter())
    return handler


def reported(handler: logging.Handler, count: int, name: str = "tg_pipeline.x", level: int = logging.INFO) -> None:
    for number in range(count):
        handler.handle(logging.LogRecord(name, level, __file__, 1, "line %d", (number,), None))


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("log_lines_dropped_total", {"reason": reason}) or 0.0


def nobody() -> str:
    return f"http://127.0.0.1:{port_of_ours()}"


def test_lines_arrive_in_order_under_few_labels(server: Loki) -> None:
    handler = handler_to(server.url.replace("http://", "http://me:p%40ss@"))
    reported(handler, 1_200)
    reported(handler, 1, level=logging.ERROR)
    handler.close()
    lines = check_log(server.text)
    assert [line["event"] for line in lines if line["level"] == "info"] == [f"line {number}" for number in range(1_200)]
    labels = [stream["stream"] for stream in server.streams]
    assert all(label.keys() == {"service", "level"} for label in labels)
    assert {label["level"] for label in labels} == {"info", "error"}
    assert server.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert all(len(stream["values"]) <= BATCH_LINES for stream in server.streams)


def test_a_loki_of_this_machine_is_reached_without_the_proxy(server: Loki, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(key, nobody())
    handler = handler_to(server.url)
    reported(handler, 3)
    handler.close()
    assert len(server.lines) == 3


def test_what_is_told_while_it_is_away_arrives_when_it_is_back(server: Loki) -> None:
    server.status = 500
    handler = handler_to(server.url)
    reported(handler, 10)
    assert wait_until(lambda: server.pushes >= 3, 20)
    server.status = 204
    assert wait_until(lambda: len(server.lines) == 10, 20)
    handler.close()
    assert len(server.lines) == 10


def test_lines_after_it_was_closed_are_sent_too(server: Loki) -> None:
    handler = handler_to(server.url)
    for _ in range(2):
        reported(handler, 3)
        handler.close()
    assert len(server.lines) == 6


def test_what_it_will_never_take_is_dropped_and_counted(server: Loki) -> None:
    server.status = 400
    before = dropped("refused")
    handler = handler_to(server.url)
    reported(handler, 10)
    assert wait_until(lambda: dropped("refused") == before + 10, 20)
    handler.close()


@pytest.mark.parametrize("state", ["away", "silent", "failing"])
def test_nobody_waits_and_the_queue_does_not_grow(
    server: Loki, state: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.5)
    server.status = 500
    server.silent = state == "silent"
    full, unsent = dropped("full"), dropped("unsent")
    handler = handler_to(nobody() if state == "away" else server.url)
    reported(handler, 3 * QUEUE_LINES)
    assert handler._lines.qsize() <= QUEUE_LINES
    lost = dropped("full") - full
    assert 3 * QUEUE_LINES - QUEUE_LINES - 2 * BATCH_LINES <= lost <= 2 * QUEUE_LINES
    assert wait_until(lambda: UNREACHED in caplog.text, 20)
    handler.close()
    assert handler._thread is not None
    handler._thread.join(20)
    assert dropped("full") - full + dropped("unsent") - unsent == 3 * QUEUE_LINES
    assert caplog.text.count(UNREACHED) == 1


def test_what_sending_itself_says_is_not_sent(server: Loki) -> None:
    handler = handler_to(server.url)
    reported(handler, 1)
    for name in (
        "httpx",
        "httpcore.connection",
        "urllib3.connectionpool",
        "requests",
        "opentelemetry.exporter",
        module.__name__,
    ):
        reported(handler, 5, name)
    handler.close()
    assert len(server.lines) == 1


@pytest.mark.slow
@pytest.mark.parametrize("state", ["up", "away", "silent", "failing"])
def test_a_fetch_is_the_same_whatever_becomes_of_its_lines(server: Loki, state: str, tmp_path: Path) -> None:
    server.status = 500 if state == "failing" else 204
    server.silent = state == "silent"
    with live_simulator(tmp_path) as simulator:
        environment = simulator.environment(tmp_path) | {
            "LOG_LEVEL": "DEBUG",
            "LOKI_URL": nobody() if state == "away" else server.url,
        }
        fetch = program("fetch", "@demo_busy", "--from", "2024-03-01", "--to", "2024-03-05", environment=environment)
        out, err = fetch.communicate()
        assert (fetch.returncode, out.count("5 days")) == (0, 1), err
        calls = simulator.history_calls()
    assert len(list((tmp_path / "data" / "demo_busy" / "2024").iterdir())) == 5
    lines = check_log(err)
    complaints = [line for line in lines if UNREACHED in line["event"]]
    assert len(complaints) == (state != "up")
    told_of = [line["event"] for line in lines if line not in complaints]
    pages = [line for line in told_of if " messages at " in line]
    assert len(pages) == calls
    arrived: list[dict[str, Any]] = [json.loads(line) for line in server.lines]
    if state == "up":
        # Those of the last seconds are given up where the machine is too busy to take them.
        assert arrived
        assert {line["event"] for line in arrived} <= set(told_of)
    else:
        assert not arrived
    assert not [line for line in arrived if "loki" in line["logger"]]
