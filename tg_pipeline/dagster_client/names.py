"""What things are called in Dagster, and what the tags of a run say."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from tg_pipeline.contracts.chat import identifier
from tg_pipeline.contracts.days import DayRange

POOL = "telegram"
"""The pool that a run takes a slot of: as many slots as there are sessions to read Telegram with."""
DAY_FILES = "day_files"
"""The IO manager of day files. Assets that name none keep Dagster's default."""
CHAT_TAG = "tg/chat"
SESSION_TAG = "tg/session"
"""The fingerprint of the session that a run is to take where others would do as well."""
BACKFILL_TAG = "dagster/backfill"
PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def messages_key(slug: str) -> dg.AssetKey:
    """The asset of a chat's day files."""
    return dg.AssetKey(["telegram", slug, "messages"])


def messages_step(slug: str) -> str:
    """The step in which a run fetches the chat. Its checks are steps whose keys begin with this one and `_`."""
    return messages_key(slug).to_python_identifier()


def slug_of(key: dg.AssetKey) -> str | None:
    """The chat of an asset of day files; None where it is another asset."""
    match key.path:
        case ["telegram", slug, "messages"]:
            return str(slug)
    return None


def job_name(slug: str) -> str:
    """The chat's own job."""
    return f"fetch_{identifier(slug)}"


def per_day_job_name(slug: str) -> str:
    """The chat's job whose backfills are a run for each day."""
    return f"per_day_{identifier(slug)}"


def days_of(tags: Mapping[str, str]) -> DayRange | None:
    """The days that a run with these tags is for, ascending and without gaps: Dagster makes a run of each piece."""
    first, last = (tags.get(tag, tags.get(PARTITION_TAG)) for tag in RANGE_TAGS)
    return DayRange(date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
