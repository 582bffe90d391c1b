"""The child process that is measured: reads a job (JSON) from its arguments, prints one JSON line of measurements.

One process a measurement, so that each starts from the same memory and none warms the next.
"""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import Counter, Gauge, Histogram
from telethon import TelegramClient
from telethon.sessions import StringSession
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.app import login as telegram
from tg_pipeline.app.fetch import fetch
from tg_pipeline.app.process import keep_logs
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.monitoring.metrics import pushed
from tg_pipeline.settings import PROJECT_DIRECTORY, Settings
from tg_pipeline_tests.unpaced import UNPACED

HISTORY = "messages.getHistory"
SLUG = "bench"
Found = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What to read and how. `pages_in_flight` is not used by the bare loop, `pushgateway` but by `observed`."""

    session: str
    api_id: int
    api_hash: str
    chat: str
    first: str
    last: str
    pages_in_flight: int = 1
    pushgateway: str = ""


def bare(job: Job, _home: Path) -> Found:
    """A plain TelegramClient that reads the whole chat and throws it away."""
    return asyncio.run(_bare(job))


async def _bare(job: Job) -> Found:
    """GetHistoryRequest from the oldest message on, one page after the other."""
    client = TelegramClient(StringSession(job.session), job.api_id, job.api_hash)
    await client.connect()
    peer = await client.get_input_entity(job.chat)
    start = datetime.combine(date.fromisoformat(job.first), datetime.min.time(), UTC)
    last_id = messages = calls = 0
    while True:
        page = await client(
            GetHistoryRequest(
                peer=peer,
                offset_id=last_id + 1 if last_id else 0,
                offset_date=None if last_id else start,
                add_offset=-100,
                limit=100,
                max_id=0,
                min_id=0,
                hash=0,
            )
        )
        calls += 1
        if not page.messages:
            break
        messages += len(page.messages)
        last_id = page.messages[0].id
    await client.disconnect()
    return {"messages": messages, "history_calls": calls}


def pipeline(job: Job, home: Path) -> Found:
    """A whole fetch, from no connection to committed day files, in a new home with an empty archive."""
    return _fetched(Settings.model_validate(_settings(job, home)), job)


def _fetched(settings: Settings, job: Job) -> Found:
    days = DayRange(date.fromisoformat(job.first), date.fromisoformat(job.last))
    report = asyncio.run(fetch(settings, RegisteredChat(slug=SLUG, chat=f"@{job.chat}"), days))
    return {
        "messages": sum(day.message_count for day in report.days),
        "history_calls": report.meter.calls[HISTORY],
        "cuts": report.splits,
    }


def observed(job: Job, home: Path) -> Found:
    """A whole fetch as production observes it: metrics kept and pushed, JSON lines from INFO on."""
    pushing = {"metrics_mode": "both", "pushgateway_url": job.pushgateway, "log_level": "INFO", "log_format": "json"}
    settings = Settings.model_validate(_settings(job, home) | pushing)
    with (home / "log").open("w") as log, redirect_stderr(log):
        keep_logs(settings)
        with pushed(settings):
            return _fetched(settings, job)


def unobserved(job: Job, home: Path) -> Found:
    """The same where nothing is counted and nothing is said."""

    def nothing(*_: object, **__: object) -> None:
        return

    vars(telegram)["keep_metrics"] = nothing
    for kind, changes in ((Counter, ("inc",)), (Gauge, ("set", "inc", "dec")), (Histogram, ("observe",))):
        for change in changes:
            setattr(kind, change, nothing)
    logging.disable(logging.CRITICAL)
    return _fetched(Settings.model_validate(_settings(job, home) | {"metrics_mode": "scrape"}), job)


def dagster(job: Job, home: Path) -> Found:
    """The same through Dagster: the chat's job in one run over the range, checks of every day included."""
    os.environ.update({key.upper(): str(value) for key, value in _settings(job, home).items()})
    (home / "home").mkdir()
    (home / "home" / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    (home / "chats.yaml").write_text(f"chats:\n  - slug: {SLUG}\n    chat: '@{job.chat}'\n    start: {job.first}\n")
    from dagster import DagsterInstance

    from tg_pipeline.dagster_client.names import job_name
    from tg_pipeline.definitions import defs

    with DagsterInstance.get() as instance:
        run = defs.resolve_job_def(job_name(SLUG)).execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            tags={"dagster/asset_partition_range_start": job.first, "dagster/asset_partition_range_end": job.last},
        )
        events = run.all_events
    counts = {
        event.partition: event.materialization.metadata["dagster/row_count"].value
        for event in events
        if event.is_step_materialization
    }
    return {"messages": sum(counts.values()), "events": len(events)}


def _settings(job: Job, home: Path) -> dict[str, Any]:
    """Settings of a world of its own, whatever a person's `.env` says."""
    return {
        "telegram_api_id": job.api_id,
        "telegram_api_hash": job.api_hash,
        "telegram_session": job.session,
        "telegram_sessions": "",
        "telegram_proxy": "",
        "dagster_home": home / "home",
        "data_uri": str(home / "data"),
        "chats_file": home / "chats.yaml",
        "xdg_state_home": home / "state",
        "fetch_pages_in_flight": job.pages_in_flight,
        **UNPACED,
    }


MEASURED: dict[str, Callable[[Job, Path], Found]] = {
    "bare": bare,
    "pipeline": pipeline,
    "observed": observed,
    "unobserved": unobserved,
    "dagster": dagster,
}


def main() -> None:
    """Run the job named by the first argument with the fields in the second."""
    measure, job = MEASURED[sys.argv[1]], Job(**orjson.loads(sys.argv[2]))
    with tempfile.TemporaryDirectory() as home:
        before = peak_megabytes()
        began, cpu_began = time.perf_counter(), time.process_time()
        found = measure(job, Path(home))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    found |= {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "messages_per_second": found["messages"] / seconds,
        "peak_megabytes_above_imports": peak_megabytes() - before,
    }
    sys.stdout.buffer.write(orjson.dumps(found) + b"\n")


def peak_megabytes() -> float:
    """The most memory this process ever held (VmHWM), in MB of 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    kibibytes = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
    return int(kibibytes) * 1024 / 1e6


if __name__ == "__main__":
    main()
