"""Dagster's own processes, as `tg-pipeline up` starts them, for tests that talk with them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.names import job_name, messages_key
from tg_pipeline.dagster_client.webserver import WebserverError, ask
from tg_pipeline.machine.tether import tethered
from tg_pipeline.settings import PROJECT_DIRECTORY
from tg_pipeline_tests.defs.pipeline import range_tags
from tg_pipeline_tests.ports import port_of_ours
from tg_pipeline_tests.processes import wait_until

START_SECONDS = 300.0

_LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""


_TERMINATE = """
mutation($run: String!) {
  terminateRun(runId: $run) {
    __typename
    ... on TerminateRunFailure { message }
    ... on RunNotFoundError { message }
    ... on PythonError { message }
  }
}
"""


@contextmanager
def serving(module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run `python -m module arguments` with our workspace until the block ends; the URL of its webserver."""
    port = port_of_ours()
    command = [sys.executable, "-m", module, *arguments, "--host", "127.0.0.1", "--port", str(port)]
    workspace = ["--workspace", str(PROJECT_DIRECTORY / "workspace.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            tethered([*command, *workspace]),
            cwd=PROJECT_DIRECTORY,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_until(lambda: answers(url), START_SECONDS), log.read_text()[-3_000:]
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # in order, Dagster takes ten seconds to stop
        process.wait()


def launch(url: str, slug: str, days: DayRange) -> str:
    """Launch a run of the chat over a range, as the UI does; its id."""
    return _launch(url, {"jobName": job_name(slug)}, days)


def launch_together(url: str, slugs: Sequence[str], days: DayRange) -> str:
    """Launch one run of all these chats, as the UI does for assets that are picked; its id."""
    picked = [{"path": messages_key(slug).path} for slug in slugs]
    return _launch(url, {"jobName": "__ASSET_JOB", "assetSelection": picked, "assetCheckSelection": None}, days)


def _launch(url: str, what: Mapping[str, object], days: DayRange) -> str:
    selector = {"repositoryLocationName": "tg_pipeline", "repositoryName": "__repository__", **what}
    tags = [{"key": key, "value": value} for key, value in range_tags(days).items()]
    answer = ask(url, _LAUNCH, params={"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}})
    return str(answer["run"]["runId"])


def terminate(url: str, run: str) -> None:
    """Terminate a run, as the UI does. WebserverError where it cannot be."""
    ask(url, _TERMINATE, run=run)


def answers(url: str) -> bool:
    """Whether a webserver answers there."""
    try:
        ask(url, "{ version }")
    except WebserverError:
        return False
    return True
