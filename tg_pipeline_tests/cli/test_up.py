import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tg_pipeline.app.running import LEASE
from tg_pipeline.dagster_client.webserver import ask
from tg_pipeline.machine.lease import signer
from tg_pipeline.machine.quiet_interrupts import INTERRUPTS
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.contracts.schema_checks import check_log
from tg_pipeline_tests.live_simulator import PROGRAM
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trees")]

NO_SERVICE = ["--health-port", "0"]
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
QUERY = """
query($days: [String!]!) {
  assetNodeOrError(assetKey: {path: ["telegram", "busy", "messages"]}) {
    ... on AssetNode { latestMaterializationByPartition(partitions: $days) { partition } }
    ... on AssetNotFoundError { message }
  }
}
"""


def pid_of_up(tg: Terminal) -> int:
    pid = signer(tg.home / "instance", LEASE)
    assert pid is not None
    return pid


@pytest.fixture
def url(tg: Terminal) -> Iterator[str]:
    """Of Dagster's webserver, started by `tg-pipeline up` as at a terminal."""
    port = port_of_ours()
    url = f"http://127.0.0.1:{port}"
    log = tg.home / "up.log"
    with log.open("wb") as stream:
        command = [str(PROGRAM), "up", "--port", str(port), *NO_SERVICE]
        up = subprocess.Popen(command, env=os.environ, stdout=stream, stderr=stream, start_new_session=True)
    try:
        assert wait_until(lambda: answers(url) or up.poll() is not None, 60)
        assert up.poll() is None, log.read_text()
        said = log.read_text()
        assert f"Runs that may fetch at once: 1. Dagster will be at {url} in a moment" in said
        assert "Warning" not in said
        assert "will not be used" not in said
        yield url
    finally:
        os.killpg(up.pid, signal.SIGINT)
        assert up.wait() == 130
        assert wait_until(lambda: not of_home(tg.home), 60), "processes outlive Ctrl-C"
        assert not [line for line in check_log(log.read_text()) if line.get("error_type") in INTERRUPTS]


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/server_info", timeout=5).close()  # noqa: S310 - our own loopback address
    except (urllib.error.URLError, OSError):
        return False
    return True


def group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def of_home(home: Path) -> list[int]:
    """The processes that work on an instance below `home`; zombies have no environment."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"DAGSTER_HOME={home}".encode() in (directory / "environ").read_bytes():
                found.append(int(directory.name))
    return [pid for pid in found if pid != os.getpid()]


def test_a_running_dagster_learns_of_chats_and_of_days_fetched_without_it(tg: Terminal, url: str) -> None:
    assert f"\nDagster at {url} " in tg.ok("chats", "add", "@busy")
    tg.ok("fetch", "busy", "--from", DAYS[0], "--to", DAYS[2])
    latest = ask(url, QUERY, days=DAYS)["latestMaterializationByPartition"]
    assert [event and event["partition"] for event in latest] == [*DAYS[:3], None]
    slugs = ("busy", "a-b", "a_b", "c")  # of which a_b is disabled: its name in Dagster is a-b's
    tg.chats_file.write_text("".join(["chats:\n", *(f"- slug: {slug}\n  chat: {slug}_x\n" for slug in slugs)]))
    assert f"\nDagster at {url} " in tg.ok("chats", "remove", "c")
    assets = [node["assetKey"]["path"] for node in ask(url, "{ assetNodes { assetKey { path } } }")]
    assert {path[1] for path in assets if path[0] == "telegram"} == {"busy", "a-b"}


def test_a_second_one_is_refused_on_the_same_home_and_on_the_same_port(tg: Terminal, url: str) -> None:
    pid = pid_of_up(tg)
    assert f"already (process {pid}). Stop it first: kill {pid}" in tg.refused("up")
    tg.set("DAGSTER_HOME", tg.home / "other")
    sentence = tg.refused("up", "--port", url.rpartition(":")[2], *NO_SERVICE)
    assert "Address already in use" in sentence
    assert not (tg.home / "other" / "dagster.yaml").exists()


def test_beside_it_health_is_told_and_a_taken_port_is_refused_before_anything_starts(tg: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        tg.set("DAGSTER_HOME", tg.home / "other")
        sentence = tg.refused("up", "--health-port", str(other.getsockname()[1]))
        assert "tg-pipeline up --health-port N" in sentence
        assert not (tg.home / "other" / "dagster.yaml").exists()
    tg.set("DAGSTER_HOME", tg.home / "instance")
    health, log = port_of_ours(), tg.home / "up.log"
    with log.open("wb") as stream:
        command = [str(PROGRAM), "up", "--port", str(port_of_ours()), "--health-port", str(health)]
        up = subprocess.Popen(command, env=os.environ, stdout=stream, stderr=stream, start_new_session=True)
    try:
        assert wait_until(lambda: details(health).get("status") == "ok" or up.poll() is not None, 90), log.read_text()
        assert up.poll() is None, log.read_text()
        reported = details(health)
        assert (reported["scheduler"]["status"], reported["ready"]) == ("ok", True), reported
    finally:
        with suppress(ProcessLookupError):
            os.killpg(up.pid, signal.SIGINT)
        code = up.wait(90)
    assert (code, details(health)) == (130, {})
    assert f"http://127.0.0.1:{health}/health/details" in log.read_text()


def details(port: int) -> dict[str, Any]:
    """What the service beside it tells; nothing where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/details", timeout=20) as answer:
            reported: dict[str, Any] = json.load(answer)
            return reported
    except OSError:
        return {}


def test_in_the_background_of_a_script_it_ends_on_sigterm(tg: Terminal) -> None:
    url = f"http://127.0.0.1:{port_of_ours()}"
    log = tg.home / "up.log"
    script = f'"{PROGRAM}" up --port {url.rpartition(":")[2]} {" ".join(NO_SERVICE)} & wait'
    with log.open("wb") as stream:
        shell = subprocess.Popen(
            ["sh", "-c", script], env=os.environ, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        assert wait_until(lambda: answers(url), 60), log.read_text()
        os.kill(pid_of_up(tg), signal.SIGTERM)
        assert wait_until(lambda: shell.poll() is not None, 20), "ignores SIGTERM"
        assert wait_until(lambda: not of_home(tg.home), 60), "processes outlive SIGTERM"
    finally:
        if group_exists(shell.pid):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def test_what_ends_by_itself_is_started_again(tg: Terminal, url: str) -> None:
    up = pid_of_up(tg)
    services = (Path("/proc") / str(up) / "task" / str(up) / "children").read_text().split()
    assert len(services) == 3
    for leader in services:
        os.killpg(int(leader), signal.SIGKILL)
    assert wait_until(lambda: not answers(url), 10)
    assert wait_until(lambda: answers(url), 60), (tg.home / "up.log").read_text()
    assert "(exit code -9)" in (tg.home / "up.log").read_text()


def test_a_redis_that_stays_away_stops_it_where_the_settings_say_so(tg: Terminal) -> None:
    tg.set("REDIS_OUTAGE_MAX_SECONDS", "1")
    log = tg.home / "up.log"
    with local_redis(tg.home / "redis") as redis_url:
        tg.set("REDIS_URL", redis_url)
        port = port_of_ours()
        with log.open("wb") as stream:
            command = [str(PROGRAM), "up", "--port", str(port), *NO_SERVICE]
            up = subprocess.Popen(command, env=os.environ, stdout=stream, stderr=stream, start_new_session=True)
        assert wait_until(lambda: answers(f"http://127.0.0.1:{port}"), 60), log.read_text()
    assert up.wait(90) == 1
    said = log.read_text()
    assert "cannot be used" in said
    assert "more than REDIS_OUTAGE_MAX_SECONDS" in said
    assert not of_home(tg.home)


def test_with_a_simulator_of_its_own_it_carries_out_commands(tg: Terminal) -> None:
    log = tg.home / "up.log"
    port = port_of_ours()
    with log.open("wb") as stream:
        command = [str(PROGRAM), "up", "--simulator", "--port", str(port), *NO_SERVICE]
        up = subprocess.Popen(command, env=os.environ, stdout=stream, stderr=stream, start_new_session=True)
    try:
        assert wait_until(lambda: answers(f"http://127.0.0.1:{port}") or up.poll() is not None, 90), log.read_text()
        (offered,) = re.findall(r"set -a; .*; set \+a", log.read_text())
        verbs = f'{offered}; "{PROGRAM}" chats add @demo_quiet && "{PROGRAM}" send demo_quiet --days 3 --wait'
        done = subprocess.run(["bash", "-c", verbs], env=os.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done, log.read_text())
        assert re.search(r"completed +demo_quiet +3 of 3 days", done.stderr), done.stderr
    finally:
        os.killpg(up.pid, signal.SIGINT)
        assert up.wait(90) == 130
    lines = check_log(log.read_text())
    assert [line for line in lines if line.get("run_id") and line["logger"] == "tg_pipeline.ingest.fetch"]
    assert [line for line in lines if line["logger"].startswith("dagster")]
