"""The child process that is measured: reads a job (JSON) from its arguments, prints one JSON line of measurements.

One process a measurement, so that each starts from the same memory and none warms the next.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
from telethon import TelegramClient
from telethon.sessions import StringSession
from telethon.tl.functions.messages import GetHistoryRequest

from tg_pipeline.bootstrap.fetching import fetch
from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange

HISTORY = "messages.getHistory"


@dataclass(frozen=True)
class Job:
    """What to read and how. `pages_in_flight` is not used by the bare loop."""

    session: str
    api_id: int
    api_hash: str
    chat: str
    first: str
    last: str
    pages_in_flight: int = 1


async def bare(job: Job) -> dict[str, Any]:
    """A plain TelegramClient: GetHistoryRequest from the oldest message on, one page after the other, thrown away."""
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


async def pipeline(job: Job) -> dict[str, Any]:
    """A whole fetch, from no connection to committed day files, in a new home with an empty archive."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        settings = Settings.model_validate(
            {
                "telegram_api_id": job.api_id,
                "telegram_api_hash": job.api_hash,
                "telegram_session": job.session,
                "dagster_home": home / "home",
                "data_uri": str(home / "data"),
                "xdg_state_home": home / "state",
                "parallelism_max": job.pages_in_flight,
            }
        )
        days = DayRange(date.fromisoformat(job.first), date.fromisoformat(job.last))
        report = await fetch(settings, RegisteredChat(slug="bench", chat=f"@{job.chat}"), days)
        return {
            "messages": sum(day.message_count for day in report.days),
            "history_calls": report.meter.calls[HISTORY],
            "calls": report.meter.total_calls,
            "cuts": report.splits,
            "megabytes_written": round(sum(day.size_bytes for day in report.days) / 1e6, 1),
        }


MEASURED: dict[str, Callable[[Job], Awaitable[dict[str, Any]]]] = {"bare": bare, "pipeline": pipeline}


def main() -> None:
    """Run the job named by the first argument with the fields in the second."""
    measure, job = MEASURED[sys.argv[1]], Job(**orjson.loads(sys.argv[2]))
    before = peak_megabytes()
    began, cpu_began = time.perf_counter(), time.process_time()
    found = asyncio.run(measure(job))  # type: ignore[arg-type]
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
