"""The service as a probe, a person and Prometheus meet it: over HTTP, in a process of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.health import Health
from tg_pipeline.observability.metrics import CATALOG
from tg_pipeline.settings import Settings
from tg_pipeline.web import app as pages
from tg_pipeline.web.service import listening, serving
from tg_pipeline_tests.cli.conftest import Terminal, simulator, terminal, tg
from tg_pipeline_tests.live_simulator import PROGRAM
from tg_pipeline_tests.processes import wait_until

__all__ = ["simulator", "terminal", "tg"]


COUNTS = """
from prometheus_client.metrics import MetricWrapperBase
from tg_pipeline.observability import metrics

for metric in vars(metrics).values():
    if isinstance(metric, MetricWrapperBase):
        labelled = metric.labels(*metric._labelnames) if metric._labelnames else metric
        getattr(labelled, {"counter": "inc", "gauge": "set", "histogram": "observe"}[metric._type])(3)
"""
"""Gives every counted metric a value."""
BY_HAND = """
from tg_pipeline.app.process import keep_metrics
from tg_pipeline.settings import load_settings

keep_metrics(load_settings())
"""
AS_DAGSTER = "import tg_pipeline.definitions"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, dagster_home=tmp_path / "home", data_uri=str(tmp_path / "data"))


@contextmanager
def served(settings: Settings) -> Iterator[int]:
    """The service in this process; gives its port."""
    listener = listening("127.0.0.1", 0, "--port")
    port: int = listener.getsockname()[1]
    with serving(settings, listener):
        yield port


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Status, content type and body of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=200)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read()


def reported(port: int, path: str) -> tuple[int, Any]:
    code, _, body = ask(port, path)
    return code, json.loads(body)


def test_every_page_answers_get_and_head(settings: Settings) -> None:
    with served(settings) as port:
        assert reported(port, "/health") == (200, {"status": "alive"})
        assert reported(port, "/health/ready") == (200, {"ready": True, "reasons": []})
        code, content_type, body = ask(port, "/health/details")
        assert (code, content_type) == (200, "application/json")
        assert Health.model_validate_json(body).status == "down", "nobody schedules anything here"
        code, content_type, body = ask(port, "/metrics")
        assert (code, content_type.partition(";")[0]) == (200, "text/plain")
        assert b'breaker_state{component="telegram"} 0.0' in body
        for path in ("/health", "/health/ready", "/health/details", "/metrics"):
            assert ask(port, path, "HEAD")[::2] == (200, b"")
            assert ask(port, path, "POST")[0] == 405
        for path in ("/", "/docs", "/openapi.json", "/health/../../etc/passwd"):
            assert ask(port, path)[0] == 404


@pytest.mark.parametrize("begin", [BY_HAND, pytest.param(AS_DAGSTER, marks=pytest.mark.slow)])
def test_what_a_process_counted_is_served_by_another_after_its_end(settings: Settings, begin: str) -> None:
    home = {"DAGSTER_HOME": str(settings.home)}
    subprocess.run([sys.executable, "-c", begin + COUNTS], env=os.environ | home, check=True)
    counted = {m.name: m for m in CATALOG.values() if not (m.derived or m.reserved)}
    assert any(not metric.labels for metric in counted.values())
    with served(settings) as port:
        lines = ask(port, "/metrics")[2].decode().splitlines()
    for metric in counted.values():
        name = f"{metric.name}_sum" if metric.kind == "histogram" else metric.name
        labels = ",".join(f'{label}="{label}"' for label in sorted(metric.labels))
        assert f"{name}{{{labels}}} 3.0".replace("{}", "") in lines


def test_metrics_that_are_only_pushed_are_not_served(settings: Settings) -> None:
    with served(settings.model_copy(update={"metrics_mode": "push"})) as port:
        assert ask(port, "/metrics")[0] == 404
        assert ask(port, "/health")[0] == 200


def test_a_redis_that_is_away_shows_in_the_metrics_and_is_logged_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with served(settings) as port:
        assert b"\nstate_store_degraded 0.0\n" in ask(port, "/metrics")[2]
    with served(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:9/0")})) as port:
        for _ in range(3):
            assert b"\nstate_store_degraded 1.0\n" in ask(port, "/metrics")[2]
        assert reported(port, "/health/details")[0] == 200
    assert len([record for record in caplog.records if "Redis at" in record.getMessage()]) == 1


def test_ready_says_why_not_and_comes_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FRESH_SECONDS", 0.0)
    data = Path(settings.data_uri)
    data.write_text("in the archive's place")
    with served(settings) as port:
        code, answer = reported(port, "/health/ready")
        assert (code, answer["ready"]) == (503, False)
        (reason,) = answer["reasons"]
        assert reason.startswith(f"storage: {data} ")
        assert "Not a directory" in reason
        assert reported(port, "/health")[0] == 200, "to be started again would not help"
        assert ask(port, "/health/ready", "HEAD")[::2] == (503, b"")
        data.unlink()
        assert reported(port, "/health/ready") == (200, {"ready": True, "reasons": []})


def test_many_who_ask_share_a_look(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FRESH_SECONDS", 60.0)
    with served(settings) as port:
        assert len({reported(port, "/health/details")[1]["ts"] for _ in range(3)}) == 1


def test_a_redis_that_does_not_answer_holds_up_nobody_for_long(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:hush@127.0.0.1:{silent.getsockname()[1]}/0"
        with served(settings.model_copy(update={"redis_url": SecretStr(url)})) as port:
            code, health = reported(port, "/health/details")
            assert (code, health["redis"]["status"]) == (200, "away")
            assert reported(port, "/health/ready")[0] == 200, "for a while it can do without"
            assert "hush" not in json.dumps(health)


def test_what_goes_wrong_inside_is_no_traceback(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> tuple[bytes, str]:
        raise ValueError("hush")

    monkeypatch.setattr(pages, "exposition", broken)
    with served(settings) as port:
        assert reported(port, "/metrics") == (500, {"error": "/metrics cannot be shown now (ValueError)."})
        assert reported(port, "/health")[0] == 200


def test_a_port_that_is_not_to_be_had_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"{port} \(.*\)\. Choose another port: --port N"):
            listening("127.0.0.1", port, "--port")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_verb_serves_until_a_signal_ends_it_in_order(tg: Terminal, number: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    log = tg.home / "serve.log"
    with log.open("wb") as stream:
        serve = subprocess.Popen([PROGRAM, "serve", "--port", str(port)], env=os.environ, stdout=stream, stderr=stream)
    try:
        assert wait_until(lambda: "Ctrl-C" in log.read_text() or serve.poll() is not None, 60)
        assert reported(port, "/health/ready")[0] == 200
        assert reported(port, "/health/details")[1]["sessions"]["count"] == 1
        sentence = tg.refused("serve", "--port", str(port))
        assert "Address already in use" in sentence
        assert ": tg-pipeline serve --port N" in sentence
    finally:
        serve.send_signal(number)
        assert serve.wait(20) == code
    assert "Traceback" not in log.read_text()
