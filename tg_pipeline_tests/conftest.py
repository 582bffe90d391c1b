"""What holds for every test: nothing leaves this machine, and nothing of the person who runs the tests is touched."""

import atexit
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tg_pipeline.observability import counts
from tg_pipeline.resilience import loopback
from tg_pipeline.settings import Settings
from tg_pipeline.state.redis_client import OUTAGE
from tg_pipeline_tests.chaos.log import pytest_configure, pytest_terminal_summary

if TYPE_CHECKING:
    from tg_pipeline_tests.live_platform import LivePlatform

__all__ = ["pytest_configure", "pytest_terminal_summary"]

# All at import, before any test module: also what a module does when it is loaded is covered, and every child process.
loopback.install()

scratch = TemporaryDirectory(prefix="tg-pipeline-tests-")
atexit.register(scratch.cleanup)
os.environ.update(loopback.guarded_environment(os.environ))
# Set to nothing rather than unset: an empty variable hides the same key of the person's .env.
os.environ.update(dict.fromkeys((key.upper() for key in Settings.model_fields), ""))
for key in ("DAGSTER_HOME", "DATA_URI", "XDG_STATE_HOME"):
    directory = Path(scratch.name, key.lower())
    directory.mkdir()
    os.environ[key] = str(directory)
os.environ["CHATS_FILE"] = str(Path(scratch.name, "chats.yaml"))

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine may be busy, and the gate must not turn red by the luck of a draw: examples follow from the test's own code.
hypothesis.settings.register_profile("gate", deadline=None, derandomize=True)
hypothesis.settings.load_profile("gate")


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[LivePlatform]":
    """The platform that live tests share: mark them `slow` and `xdist_group("live")`."""
    from tg_pipeline_tests.live_platform import live_platform

    with live_platform(tmp_path_factory.mktemp("live")) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_outage_is_known() -> None:
    """A process logs an outage of Redis once. Each test is to log its own."""
    OUTAGE.is_known = False


@pytest.fixture(autouse=True)
def _metrics_stay_in_their_test() -> Iterator[None]:
    """Afterwards this process flushes nothing into the store of a test that is over."""
    yield
    counts.stop()
