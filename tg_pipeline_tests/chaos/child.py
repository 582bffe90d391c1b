"""One fetch in a process of its own, on accelerated time: what a schedule starts, kills and starts again."""

import json
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from tg_pipeline.app import login as telegram
from tg_pipeline.app.fetch import fetch
from tg_pipeline.cli.running import Terminated, run_stoppably
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.observability.logs import log_to
from tg_pipeline.settings import Settings, load_settings
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline_tests.chaos.accelerated import AcceleratedClock
from tg_pipeline_tests.telegram_account import first_days


def main() -> None:
    """Fetch what `sys.argv[1]` says. Exit code 0 done, 1 failed with a sentence and the seconds to wait, 143 ended."""
    spec: dict[str, Any] = json.loads(sys.argv[1])
    log_to("stderr", "WARNING", "auto")
    if spec["disk_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (spec["disk_bytes"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if spec["broken"] == "memory":
        vars(telegram)["state_store"] = _of_this_process
    clock = AcceleratedClock(spec["origin"], spec["began"], spec["jump"], spec["jump_after"])
    chat, days = RegisteredChat(slug=spec["chat"], chat=f"@{spec['chat']}"), first_days(spec["days"])
    try:
        run_stoppably(partial(fetch, load_settings(), chat, days, clock=clock))
    except TgPipelineError as error:
        sys.stderr.write(f"{error}\n")
        sys.stdout.write(json.dumps({"wait": getattr(error, "seconds", 1)}))
        sys.exit(1)
    except Terminated:
        sys.exit(143)


def _of_this_process(_settings: Settings, _clock: Clock | None = None) -> SqliteStore:
    """A broken build: what all should share is this process's own."""
    return SqliteStore(Path(tempfile.mkdtemp()) / "own.sqlite", time.time)


if __name__ == "__main__":
    main()
