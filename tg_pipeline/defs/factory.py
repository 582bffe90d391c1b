"""The assets of a chat."""

import time
from collections.abc import Mapping
from datetime import date

import dagster as dg

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.contracts.fetch import CommittedDay, FetchProgress
from tg_pipeline.defs.failures import raise_to_dagster
from tg_pipeline.defs.metadata import day_metadata, fetch_metadata, preview
from tg_pipeline.defs.names import CHAT_TAG, POOL, identifier, messages_key
from tg_pipeline.defs.partitions import daily_partitions, day_range
from tg_pipeline.defs.receipts import receipt
from tg_pipeline.defs.resources import TelegramResource
from tg_pipeline.storage.day_store import DayStore


def chat_assets(chat: RegisteredChat, store: DayStore, *, start: date, days_per_run: int) -> list[dg.AssetsDefinition]:
    """The chat's assets, in a group of their own.

    `start` is the first partition where the chat itself names none. A backfill runs up to `days_per_run` days a run.
    """

    @dg.asset(
        key=messages_key(chat.slug),
        partitions_def=daily_partitions(chat.start or start),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=days_per_run),
        group_name=identifier(chat.slug),
        kinds={"telegram", "json"},
        tags={CHAT_TAG: chat.slug},
        description=_describe(chat),
        metadata=_facts(chat, store),
        pool=POOL,
    )
    def messages(
        context: dg.AssetExecutionContext, telegram: dg.ResourceParam[TelegramResource]
    ) -> Mapping[str, CommittedDay]:
        return fetch_partitions(context, telegram, store, chat)

    return [messages]


def _describe(chat: RegisteredChat) -> str:
    title = f"{chat.title} ({chat.chat})" if chat.title else chat.chat
    return f"Every message of {title}, one JSON file a UTC day."


def _facts(chat: RegisteredChat, store: DayStore) -> Mapping[str, dg.MetadataValue]:
    facts: dict[str, dg.MetadataValue] = {
        "chat": dg.MetadataValue.text(chat.chat),
        "directory": dg.MetadataValue.path(str(store.root / chat.slug)),
    }
    if chat.id is not None:
        facts["telegram_id"] = dg.MetadataValue.int(chat.id)
    if chat.username is not None:
        facts["link"] = dg.MetadataValue.url(f"https://t.me/{chat.username}")
    return facts


def fetch_partitions(
    context: dg.AssetExecutionContext, telegram: TelegramResource, store: DayStore, chat: RegisteredChat
) -> Mapping[str, CommittedDay]:
    """Fetch the run's partitions; the receipts by partition key, ascending.

    Each day is materialized in Dagster's log the moment its file is in place, so that a run that dies keeps the days
    it has done. Dagster logs all of them once more when the step succeeds; the metadata kept here goes with that.
    """
    receipts: dict[str, CommittedDay] = {}

    def record(day: CommittedDay) -> None:
        receipts[str(day.day)] = day
        metadata = day_metadata(day)
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=str(day.day), metadata=metadata))
        context.add_asset_metadata(metadata, partition_key=str(day.day))

    def on_progress(moment: FetchProgress) -> None:
        if moment.committed is not None:
            record(moment.committed)

    try:
        report = telegram.fetch(chat, day_range(context.partition_keys), on_progress)
        for day in report.resumed_days:
            record(receipt(store, chat.slug, day))
        last = max(receipts)
        context.add_asset_metadata(
            {**fetch_metadata(report), **preview(store, chat.slug, receipts[last])}, partition_key=last
        )
    except TgPipelineError as error:
        raise_to_dagster(error, chat.slug, retry_number=context.retry_number, now=time.time())
    return dict(sorted(receipts.items()))
