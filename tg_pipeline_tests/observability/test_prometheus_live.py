"""A real Prometheus and a real Pushgateway hold what the server saw, after short runs, some of them killed.

What a killed run counted in its last second is lost: its calls, and no others, may be missing.
"""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline_tests.live_simulator import PROGRAM, LiveSimulator, live_simulator, program
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.processes import wait_until

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("prometheus-pushgateway")),
        reason="no Prometheus and Pushgateway on this machine (Debian: prometheus, prometheus-pushgateway)",
    ),
]

KILLED_EVERY = 6
CHATS = ("demo_quiet", "demo_friend", "demo_channel")
FLOODS = 3
"""All in the first run, which is not killed."""
FAULTS = {"rules": [{"kind": "error", "error": "FLOOD_WAIT_1", "method": "messages.getHistory", "count": FLOODS}]}
WAYS = {"scrape": {"scrape"}, "push": {"push"}, "both": {"scrape", "push"}}
RULES = PROJECT_DIRECTORY / "deploy" / "prometheus" / "rules" / "series.yml"


@contextmanager
def server(*command: object, ready: str, log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Runs while the block does, which begins when `ready` answers."""
    with log.open("wb") as stream:
        process = subprocess.Popen([str(part) for part in command], env=environment, stdout=stream, stderr=stream)
    try:
        assert wait_until(lambda: answers(ready) or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return bool(get(url))
    except OSError:
        return False


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback address
        body: bytes = answer.read()
        return body


@contextmanager
def prometheus(directory: Path, **targets: str) -> Iterator[str]:
    """One that asks these targets, by what they are (scrape, push), every second; its URL."""
    directory.mkdir()
    jobs = {"scrape": "tg-pipeline", "push": "pushgateway"}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": jobs[way],
                "honor_labels": way == "push",
                "static_configs": [{"targets": [target], "labels": {"way": way}}],
            }
            for way, target in targets.items()
        ],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    url = f"http://127.0.0.1:{port_of_ours()}"
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with server(*command, ready=f"{url}/-/ready", log=directory / "log"):
        yield url


def query(url: str, expression: str) -> list[dict[str, Any]]:
    answer = json.loads(get(f"{url}/api/v1/query?query={urllib.parse.quote(expression)}"))
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def by(url: str, expression: str, label: str) -> dict[str, float]:
    """Values by a label; every series of the answer has another one."""
    found = [(series["metric"][label], float(series["value"][1])) for series in query(url, expression)]
    assert len(dict(found)) == len(found), found
    return dict(found)


def run(telegram: LiveSimulator, environment: dict[str, str], chat: str, *, killed: bool) -> None:
    """A fetch of a day; killed while it waits for its first page."""
    before = telegram.history_calls()
    process = program("fetch", chat, "--from", "yesterday", "--to", "yesterday", environment=environment)
    if killed:
        assert wait_until(lambda: telegram.history_calls() > before, 60)
        process.kill()
    _, err = process.communicate()
    assert killed or process.returncode == 0, err


@pytest.mark.parametrize(
    ("mode", "runs"),
    [
        pytest.param("both", 12, marks=pytest.mark.slow),
        *(pytest.param(mode, 50, marks=pytest.mark.nightly) for mode in ("scrape", "push", "both")),
    ],
)
def test_the_counters_are_what_the_server_saw(tmp_path: Path, mode: str, runs: int) -> None:
    (tmp_path / "faults.json").write_text(json.dumps(FAULTS))
    gateway, exporter = (f"127.0.0.1:{port_of_ours()}" for _ in range(2))
    with ExitStack() as stack:
        telegram = stack.enter_context(
            live_simulator(tmp_path, "--latency-ms", "150", "--faults", str(tmp_path / "faults.json"))
        )
        pushes = {"METRICS_MODE": mode, "PUSHGATEWAY_URL": f"http://{gateway}", "FETCH_PAGES_IN_FLIGHT": "1"}
        environment = telegram.environment(tmp_path) | pushes
        targets = {}
        if "push" in WAYS[mode]:
            command = ["prometheus-pushgateway", f"--web.listen-address={gateway}", "--persistence.file="]
            stack.enter_context(server(*command, ready=f"http://{gateway}/-/ready", log=tmp_path / "gateway.log"))
            targets["push"] = gateway
        if "scrape" in WAYS[mode]:
            port = exporter.rpartition(":")[2]
            ready, log = f"http://{exporter}/health", tmp_path / "serve.log"
            stack.enter_context(server(PROGRAM, "serve", "--port", port, ready=ready, log=log, environment=environment))
            targets["scrape"] = exporter
        url = stack.enter_context(prometheus(tmp_path / "prometheus", **targets))
        may_miss: Counter[str] = Counter()
        for number in range(runs):
            killed, before = number % KILLED_EVERY == KILLED_EVERY - 2, Counter(telegram.calls())
            run(telegram, environment, CHATS[number % len(CHATS)], killed=killed)
            if killed:
                may_miss += Counter(telegram.calls()) - before
        calls = telegram.calls()
        floods = Counter(e["method"] for e in telegram.entries() if str(e.get("error")).startswith("FLOOD_WAIT"))
        assert floods.total() == FLOODS
        expected = {
            "tg:telegram_calls_total": ("target", dict(calls)),
            "tg:rate_limit_hits_total": ("source", dict(floods)),
            "sum by (status) (tg:fetch_duration_seconds_count)": ("status", {"success": runs - runs // KILLED_EVERY}),
        }
        for way in WAYS[mode]:
            expected[f'telegram_calls_total{{way="{way}"}}'] = ("target", dict(calls))

        def right(expression: str, label: str, found: dict[str, float]) -> bool:
            seen, missing = by(url, expression, label), may_miss if label == "target" else Counter()
            return seen.keys() == found.keys() and all(found[of] - missing[of] <= seen[of] <= found[of] for of in seen)

        wait_until(lambda: all(right(expression, *one) for expression, one in expected.items()), 30)
        for expression, one in expected.items():
            assert right(expression, *one), (expression, by(url, expression, one[0]), one, may_miss)
        assert {s["metric"]["way"] for s in query(url, "telegram_calls_total")} == WAYS[mode]
        time.sleep(3)
        resets = query(url, "resets(tg:telegram_calls_total[10m]) > 0")
        assert resets == [], "a sum that goes back looks like a process that counts anew"
