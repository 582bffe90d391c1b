"""What must hold of a chat's day files, checked a day at a time."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.defs.partitions import daily_partitions

DAY_FILE = "day_file"
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def chat_checks(chat: RegisteredChat, store: Archive, *, start: date) -> list[dg.AssetChecksDefinition]:
    """The checks of the chat's assets; `start` as in `chat_assets`."""
    key = messages_key(chat.slug)

    @dg.asset_check(  # type: ignore[arg-type] # typed for an AssetCheckResult; events of an op are as good
        asset=key,
        name=DAY_FILE,
        partitions_def=daily_partitions(chat.start or start),
        description="Schema, order, uniqueness, dates, counts and content hash of the day's file, read line by line.",
    )
    def day_file(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
        # Not an AssetCheckResult: Dagster would take the one of a range as one about no day in particular.
        for partition in context.partition_keys:
            yield evaluate_day(store, chat.slug, key, partition)
        yield dg.Output(None)

    return [day_file]


def evaluate_day(store: Archive, slug: str, key: dg.AssetKey, partition: str) -> dg.AssetCheckEvaluation:
    """Whether the day's file is what the contract says, with one entry of metadata for each kind of finding.

    Where warnings are all there is (the account cannot see the whole day), the check warns; else a finding is an error.
    """
    findings = list(store.verify_day(slug, date.fromisoformat(partition)))
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=DAY_FILE,
        partition=partition,
        passed=not findings,
        severity=WARN if findings and all(f.is_warning for f in findings) else ERROR,
        blocking=False,
        description=min(findings, key=lambda f: f.is_warning).detail if findings else None,
        metadata={finding.kind.value: dg.MetadataValue.text(finding.detail) for finding in findings},
    )
