"""What things are called in Dagster."""

import dagster as dg

from tg_pipeline.contracts.chat import identifier

POOL = "telegram"
"""The pool that a run takes a slot of: as many slots as there are sessions to read Telegram with."""
DAY_FILES = "day_files"
"""The IO manager of day files. Assets that name none keep Dagster's default."""
CHAT_TAG = "tg/chat"
BACKFILL_TAG = "dagster/backfill"


def messages_key(slug: str) -> dg.AssetKey:
    """The asset of a chat's day files."""
    return dg.AssetKey(["telegram", slug, "messages"])


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
