"""What Prometheus is given: scraped, and pushed to a real Pushgateway where this machine has one."""

import logging
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from tg_pipeline.app.process import keep_metrics
from tg_pipeline.app.shared_state import state_store
from tg_pipeline.contracts.errors import SessionRevoked, StateUnavailable
from tg_pipeline.contracts.state import Change
from tg_pipeline.monitoring.derived import of_policy, reads
from tg_pipeline.monitoring.metrics import Sample, exposition, push, pushed
from tg_pipeline.observability import metrics
from tg_pipeline.resilience.breaker import Breaker, State, dump
from tg_pipeline.resilience.gate import BREAKERS, TELEGRAM
from tg_pipeline.settings import Settings
from tg_pipeline.simulator import Error
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.telegram_account import Account, account, first_days, plain_world

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(found: Account) -> Series:
    body, kind = exposition(found.settings, *reads(found.settings))
    assert kind.startswith("text/plain")
    return parsed(body.decode())


@pytest.fixture
def gateway() -> Iterator[str]:
    """A Pushgateway, new and empty."""
    program = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
    if program is None:
        pytest.skip("no Pushgateway on this machine (Debian: prometheus-pushgateway)")
    port = port_of_ours()
    arguments = [f"--web.listen-address=127.0.0.1:{port}", "--persistence.file="]  # Debian's keeps a file by default
    process = subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    assert wait_until(ready, 20)
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def held(gateway: str) -> Series:
    with urllib.request.urlopen(f"{gateway}/metrics", timeout=5) as answer:  # noqa: S310 - our own loopback address
        return parsed(answer.read().decode())


def test_a_fetch_is_counted_as_the_server_saw_it(tmp_path: Path) -> None:
    with account(plain_world(), tmp_path) as found:
        found.fetch("busy", first_days(3))
        series = scraped(found)
        for method, number in found.calls().items():
            assert series["telegram_calls_total", (("target", method),)] == number
        assert series["messages_fetched_total", (("chat", "busy"),)] >= 90
        assert series["fetch_duration_seconds_count", (("chat", "busy"), ("status", "success"))] == 1
        assert series["breaker_state", (("component", "telegram"),)] == 0
        assert series["learned_rate_per_second", (("source", "messages.getHistory"),)] > 0
        assert series["floodwait_remaining_seconds", (("source", "messages.getHistory"),)] == 0


@pytest.mark.parametrize(("transition", "value"), [(None, 0), ("open", 1), ("half_open", 2)])
def test_the_state_of_a_breaker_is_a_number(tmp_path: Path, transition: State | None, value: int) -> None:
    settings = Settings(_env_file=None, dagster_home=tmp_path)
    with closing(state_store(settings)) as store:
        now = store.now()
        breaker = Breaker(open_until=now + 60, transitions=((now, transition),)) if transition else Breaker()
        store.compare_and_set({f"{BREAKERS}{TELEGRAM}": Change(None, dump(breaker))})
    assert (metrics.BREAKER_STATE, [TELEGRAM], value) in list(of_policy(settings))


def test_every_name_is_of_the_catalog_with_its_labels(tmp_path: Path) -> None:
    with local_redis(tmp_path / "redis") as url, account(plain_world(), tmp_path, redis_url=url) as found:
        (tmp_path / "chats.yaml").write_text('chats:\n  - {slug: busy, chat: "@busy"}\n')
        found.fetch("busy", first_days(3))
        body, _ = exposition(found.settings, *reads(found.settings))
        for family in text_string_to_metric_families(body.decode()):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            metric = metrics.CATALOG[name]
            assert (family.type, family.documentation) == (metric.kind, metric.help)
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(metric.labels)
        assert b"fetch_lag_seconds{" in body
        assert b"commands_queue_depth{" in body
        assert b'commands_total{status="rejected"} 0.0' in body, "else the first one is no increase"
    assert not any(metric.reserved and metric.derived for metric in metrics.CATALOG.values())


def test_a_session_that_telegram_refuses_is_dead_until_it_is_accepted_again(tmp_path: Path) -> None:
    def sessions(found: Account) -> dict[str, float]:
        return {dict(labels)["state"]: v for (name, labels), v in scraped(found).items() if name == "telegram_sessions"}

    with account(plain_world(), tmp_path) as found:
        assert sessions(found) == {"free": 1, "leased": 0, "dead": 0}
        found.simulator.faults.add(Error(error="SESSION_REVOKED", count=1))
        with pytest.raises(SessionRevoked):
            found.fetch("busy", first_days(1))
        assert sessions(found) == {"free": 0, "leased": 0, "dead": 1}
        found.fetch("busy", first_days(1))
        assert sessions(found) == {"free": 1, "leased": 0, "dead": 0}


def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def away() -> Iterable[Sample]:
        yield metrics.COMMANDS, ["success"], 1
        raise StateUnavailable("Redis is away.")

    with account(plain_world(), tmp_path) as found:
        found.fetch("busy", first_days(1))
        body, _ = exposition(found.settings, away)
        assert exposition(found.settings, away)[0] == body
    assert b"telegram_calls_total" in body
    assert caplog.messages.count("Some metrics cannot be read: Redis is away.") == 1


def test_what_is_pushed_is_what_is_scraped(tmp_path: Path, gateway: str) -> None:
    with account(plain_world(), tmp_path, pushgateway_url=gateway, metrics_mode="push") as found:
        found.fetch("busy", first_days(3))
        found.fetch("busy", first_days(2))
        push(found.settings, *reads(found.settings))
        ours = {key: value for key, value in scraped(found).items() if not key[0].startswith("python_")}
        theirs = held(gateway)
    groups = {dict(labels).get("instance") for (name, labels) in theirs if name == "push_time_seconds"}
    assert len(groups) == 1, "a stable key: one instance, however many processes pushed"
    for (name, labels), value in ours.items():
        found_there = [v for (n, ls), v in theirs.items() if n == name and set(labels) <= set(ls)]
        assert found_there == [value], (name, labels)


def test_a_gateway_that_is_away_or_slow_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        for port in (9, never_answers.getsockname()[1]):
            url = f"http://user:secret@127.0.0.1:{port}"
            with (
                account(
                    plain_world(), tmp_path / str(port), pushgateway_url=url, metrics_push_interval_seconds=0.1
                ) as found,
                pushed(found.settings),
            ):
                found.fetch("busy", first_days(3))
    reported = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(reported) == 2, reported
    assert all("Metrics are not pushed: the Pushgateway at http://127.0.0.1:" in line for line in reported)
    assert "secret" not in caplog.text


def test_two_machines_that_share_a_redis_have_one_sum(tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "other"]
    with local_redis(tmp_path / "redis") as url:
        machines = [Settings(_env_file=None, dagster_home=home, redis_url=SecretStr(url)) for home in homes]
        for settings in machines:
            keep_metrics(settings)
            metrics.CALLS.labels("help.getConfig").inc(3)
        found = [parsed(exposition(settings)[0].decode()) for settings in machines]
    name = "telegram_calls_total", (("target", "help.getConfig"),)
    assert [series[name] for series in found] == [6, 6]


def test_what_is_counted_while_redis_is_away_is_left_out_until_it_is_back(tmp_path: Path) -> None:
    alone = Settings(_env_file=None, dagster_home=tmp_path / "home")
    keep_metrics(alone)
    metrics.CALLS.labels("help.getConfig").inc(3)
    assert b"telegram_calls_total" in exposition(alone)[0]
    away = alone.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:9/0")})
    keep_metrics(away)
    metrics.CALLS.labels("help.getConfig").inc(2)
    assert exposition(away)[0] == b"", "a smaller sum, and a share of this home, would look like a reset"
    with local_redis(tmp_path / "redis") as url:
        back = alone.model_copy(update={"redis_url": SecretStr(url)})
        series = parsed(exposition(back)[0].decode())
    assert series["telegram_calls_total", (("target", "help.getConfig"),)] == 2


def test_a_state_that_cannot_be_used_leaves_out_what_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file")
    settings = Settings(_env_file=None, dagster_home=tmp_path / "home")
    keep_metrics(settings)
    metrics.CALLS.labels("help.getConfig").inc()
    assert exposition(settings)[0] == b""
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_it_pushes_while_the_work_goes_on(tmp_path: Path, gateway: str) -> None:
    with account(plain_world(), tmp_path, pushgateway_url=gateway, metrics_push_interval_seconds=0.1) as found:
        keep_metrics(found.settings)
        with pushed(found.settings):
            metrics.CALLS.labels("help.getConfig").inc()
            assert wait_until(lambda: any(name == "telegram_calls_total" for name, _ in held(gateway)), 10)
        assert not [thread for thread in threading.enumerate() if thread.name == "push-metrics"]
