import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tg_pipeline.cli.showcase.stage import free_port
from tg_pipeline.defs.webserver import ask
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.live_simulator import PROGRAM
from tg_pipeline_tests.processes import wait_until

pytestmark = pytest.mark.slow

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
QUERY = """
query($days: [String!]!) {
  assetNodeOrError(assetKey: {path: ["telegram", "busy", "messages"]}) {
    ... on AssetNode { latestMaterializationByPartition(partitions: $days) { partition } }
    ... on AssetNotFoundError { message }
  }
}
"""


@pytest.fixture
def url(tg: Terminal) -> Iterator[str]:
    """Of Dagster's webserver, started by `tg-pipeline up` as at a terminal."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = tg.home / "up.log"
    with log.open("wb") as stream:
        command = [str(PROGRAM), "up", "--port", str(port)]
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
        up.wait()
        assert wait_until(lambda: not group_exists(up.pid), 60), "processes outlive Ctrl-C"


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


def test_a_running_dagster_learns_of_chats_and_of_days_fetched_without_it(tg: Terminal, url: str) -> None:
    assert f"Dagster at {url} has taken it up." in tg.ok("chats", "add", "@busy")
    tg.ok("fetch", "busy", "--from", DAYS[0], "--to", DAYS[2])
    latest = ask(url, QUERY, days=DAYS)["latestMaterializationByPartition"]
    assert [event and event["partition"] for event in latest] == [*DAYS[:3], None]
    tg.chats_file.write_text(
        "".join(["chats:\n", *(f"- slug: {slug}\n  chat: {slug}_x\n" for slug in ("a-b", "a_b", "c"))])
    )
    assert "which Dagster cannot tell apart" in tg.ok("chats", "remove", "c")


def test_a_second_one_is_refused_on_the_same_home_and_on_the_same_port(tg: Terminal, url: str) -> None:
    pid = (tg.home / "instance" / "up.lock").read_text()
    assert f"already (process {pid}). Stop it first: kill {pid}" in tg.refused("up")
    tg.set("DAGSTER_HOME", tg.home / "other")
    sentence = tg.refused("up", "--port", url.rpartition(":")[2])
    assert "Address already in use" in sentence
    assert not (tg.home / "other" / "dagster.yaml").exists()


def test_in_the_background_of_a_script_it_ends_on_sigterm(tg: Terminal) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    log = tg.home / "up.log"
    script = f'"{PROGRAM}" up --port {url.rpartition(":")[2]} & wait'
    with log.open("wb") as stream:
        shell = subprocess.Popen(
            ["sh", "-c", script], env=os.environ, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        assert wait_until(lambda: answers(url), 60), log.read_text()
        os.kill(int((tg.home / "instance" / "up.lock").read_text()), signal.SIGTERM)
        assert wait_until(lambda: shell.poll() is not None, 20), "ignores SIGTERM"
        assert wait_until(lambda: not group_exists(shell.pid), 60), "processes outlive SIGTERM"
    finally:
        if group_exists(shell.pid):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
