"""What people read beside a materialization. Nothing secret; of messages, the first words of a few."""

from itertools import islice

import dagster as dg
import orjson

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.fetch import CommittedDay, FetchReport
from tg_pipeline.contracts.text import printable
from tg_pipeline.dagster_client.materializations import Metadata

PREVIEW_MESSAGES = 5
PREVIEW_CHARACTERS = 80
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in r"\`*_{}[]()<>#+-!|~&$"})


def plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line, whatever is in it."""
    return printable(text).translate(_MARKDOWN)


def fetch_metadata(report: FetchReport) -> Metadata:
    """What the run's fetch cost. Durations in seconds."""
    duration = float(report.duration_seconds)
    return {
        "fetch/days": dg.MetadataValue.int(len(report.days)),
        "fetch/resumed_days": dg.MetadataValue.int(len(report.resumed_days)),
        "fetch/messages": dg.MetadataValue.int(report.messages),
        "fetch/calls": dg.MetadataValue.int(report.meter.total_calls),
        "fetch/retries": dg.MetadataValue.int(report.meter.total_retries),
        "fetch/paced_seconds": dg.MetadataValue.float(round(float(report.meter.waits["rate"]), 1)),
        "fetch/floodwait_asked_seconds": dg.MetadataValue.float(round(float(report.meter.asked_seconds), 1)),
        "fetch/floodwait_slept_seconds": dg.MetadataValue.float(round(float(report.meter.slept_for_floods), 1)),
        "fetch/repeated_ids": dg.MetadataValue.int(report.repeated),
        "fetch/duration_seconds": dg.MetadataValue.float(round(duration, 2)),
        "fetch/messages_per_second": dg.MetadataValue.float(round(report.messages / duration, 1) if duration else 0.0),
    }


def preview(store: Archive, slug: str, day: CommittedDay) -> Metadata:
    """The first messages of a day as a table."""
    rows = ["| id | time | from | text |", "| --: | --- | --: | --- |"]
    if not day.message_count:
        rows = ["No messages."]
    for line in islice(store.lines(slug, day.day), PREVIEW_MESSAGES):
        message = orjson.loads(line)
        text = message["text"] or f"({_kind(message)})"
        rows.append(f"| {message['id']} | {message['date'][11:19]} | {message['from_id'] or ''} | {_cell(text)} |")
    return {"preview": dg.MetadataValue.md("\n".join(rows))}


def _kind(message: dict[str, object]) -> str:
    for field in ("action", "media"):
        match message.get(field):
            case {"type": str(kind)}:
                return kind
    return str(message["type"])


def _cell(text: str) -> str:
    """Text that a table of Markdown shows as it is, whatever is in it, cut short."""
    line = " ".join(text.split())
    short = line if len(line) <= PREVIEW_CHARACTERS else line[: PREVIEW_CHARACTERS - 1].rstrip() + "…"
    return plain(short)
