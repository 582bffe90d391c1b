"""Running a probe in a process of its own."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import orjson

from tg_pipeline.resilience import loopback
from tg_pipeline_tests.bench.local_telegram import FIRST_DAY, ChatSpec, LocalTelegram


def measured(
    what: str, telegram: LocalTelegram, chat: ChatSpec, pages_in_flight: int = 1, pushgateway: str = ""
) -> dict[str, Any]:
    """What `probe.MEASURED[what]` says of reading the whole chat, and `process_seconds`, imports included."""
    job = {
        "session": telegram.session,
        "api_id": telegram.api_id,
        "api_hash": telegram.api_hash,
        "chat": chat.username,
        "first": str(FIRST_DAY),
        "last": str(FIRST_DAY + timedelta(days=chat.days - 1)),
        "pages_in_flight": pages_in_flight,
        "pushgateway": pushgateway,
    }
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tg_pipeline_tests.bench.probe", what, orjson.dumps(job).decode()],
        stdout=subprocess.PIPE,
        env=loopback.guarded_environment(os.environ),
        check=True,
    )
    seconds = time.perf_counter() - began
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    if found["messages"] != chat.messages:
        raise RuntimeError(f"{what}: {found['messages']} messages were read of {chat.messages}")
    return found | {"process_seconds": seconds}
