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
    tg.set("DAGSTER_WEBSERVER_URL", url)
    log = tg.home / "up.log"
    with log.open("wb") as stream:
        command = [str(PROGRAM), "up", "--port", str(port)]
        up = subprocess.Popen(command, env=os.environ, stdout=stream, stderr=stream, start_new_session=True)
    try:
        assert wait_until(lambda: answers(url) or up.poll() is not None, 60)
        assert up.poll() is None, log.read_text()
        assert "Runs that may fetch at once: 1.\n" in log.read_text()
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
