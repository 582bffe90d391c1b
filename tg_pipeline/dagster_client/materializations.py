"""The event of a day that is in the archive, as runs and the command line report it to Dagster. Nothing secret."""

from collections.abc import Mapping
from typing import TypeAlias

import dagster as dg

from tg_pipeline.contracts.day_file import describe
from tg_pipeline.contracts.fetch import CommittedDay

Metadata: TypeAlias = Mapping[str, dg.MetadataValue]

DATA_VERSION_TAG = "dagster/data_version"


def materialization(key: dg.AssetKey, day: CommittedDay, more: Metadata | None = None) -> dg.AssetMaterialization:
    """The day's event. Its data version is the content's hash, so that only a change makes stale what is downstream."""
    return dg.AssetMaterialization(
        key,
        partition=str(day.day),
        metadata={**_day_metadata(day), **(more or {})},
        tags={DATA_VERSION_TAG: day.content_sha256, "dagster/data_version_is_user_provided": "true"},
    )


def _day_metadata(day: CommittedDay) -> Metadata:
    """One day file."""
    return {
        "dagster/row_count": dg.MetadataValue.int(day.message_count),
        "added": dg.MetadataValue.int(day.added),
        "edited": dg.MetadataValue.int(day.edited),
        "deleted": dg.MetadataValue.int(day.deleted),
        **{
            name: dg.MetadataValue.int(number)
            for name, number in (
                ("first_message_id", day.first_message_id),
                ("last_message_id", day.last_message_id),
            )
            if number is not None
        },
        **{condition.kind: dg.MetadataValue.text(describe(condition)) for condition in day.conditions},
        "sealed": dg.MetadataValue.bool(day.sealed),
        "path": dg.MetadataValue.path(day.path),
        "size_bytes": dg.MetadataValue.int(day.size_bytes),
        "content_sha256": dg.MetadataValue.text(day.content_sha256),
    }
