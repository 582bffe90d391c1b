"""The assets of a chat."""

import time
from collections.abc import Iterator, Mapping
from datetime import date

import dagster as dg

from tg_pipeline.contracts.chat import RegisteredChat, identifier
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import DayFileError, TgPipelineError
from tg_pipeline.contracts.fetch import CommittedDay, FetchProgress
from tg_pipeline.contracts.text import count
from tg_pipeline.defs.checks import evaluate_day
from tg_pipeline.defs.failures import raise_to_dagster
from tg_pipeline.defs.launching import command_of
from tg_pipeline.defs.metadata import day_metadata, fetch_metadata, plain, preview
from tg_pipeline.defs.names import CHAT_TAG, DAY_FILES, POOL, messages_key
from tg_pipeline.defs.partitions import daily_partitions, run_days
from tg_pipeline.defs.receipts import receipt
from tg_pipeline.defs.resources import TelegramResource
from tg_pipeline.defs.run_events import RunEvents, close_events, tell_failed
from tg_pipeline.defs.tracing import asset_span
from tg_pipeline.observability.logs import about
from tg_pipeline.storage.day_store import DayStore


def chat_assets(chat: RegisteredChat, store: DayStore, *, start: date, days_per_run: int) -> list[dg.AssetsDefinition]:
    """The chat's assets, in a group of their own.

    `start` is the first partition where the chat itself names none. A backfill runs up to `days_per_run` days a run.
    """
    first = chat.start or start

    @dg.asset(
        key=messages_key(chat.slug),
        partitions_def=daily_partitions(first),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=days_per_run),
        group_name=identifier(chat.slug),
        kinds={"telegram", "json"},
        tags={CHAT_TAG: chat.slug},
        description=_describe(chat),
        metadata=_facts(chat, store),
        pool=POOL,
        io_manager_key=DAY_FILES,
        output_required=False,
        hooks={close_events, tell_failed},
    )
    def messages(
        context: dg.AssetExecutionContext,
        telegram: dg.ResourceParam[TelegramResource],
        events: dg.ResourceParam[RunEvents],
    ) -> Iterator[dg.Output[Mapping[str, CommittedDay]]]:
        with about(chat=chat.slug, run_id=context.run.run_id, **of_command(context.run.tags)):
            asked = run_days(context)
            events.begin(context, chat, asked)
            if asked.first >= first:
                yield dg.Output(fetch_partitions(context, telegram, events, store, chat))
            else:
                fetch_rest(context, telegram, events, store, chat, first)

    return [messages]


def _describe(chat: RegisteredChat) -> str:
    title = f"{chat.title} ({chat.chat})" if chat.title else chat.chat
    return f"Every message of {plain(title)}, one JSON file a UTC day."


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


def fetch_rest(
    context: dg.AssetExecutionContext,
    telegram: TelegramResource,
    events: RunEvents,
    store: DayStore,
    chat: RegisteredChat,
    first: date,
) -> None:
    """Fetch the run's days from `first` on, and check them. The others were partitions when the run was queued.

    Dagster accepts no output of a run over days that are no partitions, so that its check of the asset is skipped.
    """
    asked = run_days(context)
    left_out = count(sum(day < first for day in asked), "day")
    context.log.warning(
        "%s of %s left out: %s begins on %s now, as chats.yaml says.", left_out, asked, chat.slug, first
    )
    if asked.last >= first:
        for day in fetch_partitions(context, telegram, events, store, chat, since=first):
            context.log_event(evaluate_day(store, chat.slug, context.asset_key, day))


def fetch_partitions(
    context: dg.AssetExecutionContext,
    telegram: TelegramResource,
    events: RunEvents,
    store: DayStore,
    chat: RegisteredChat,
    since: date = date.min,
) -> Mapping[str, CommittedDay]:
    """Fetch the run's partitions; the receipts by partition key, ascending. Those before `since` are left out.

    Each day is materialized in Dagster's log the moment its file is in place, so that a run that dies keeps the days
    it has done. Dagster logs all of them once more when the step succeeds; the metadata kept here goes with that.
    A command that does not force it reads no day again that is archived and sealed.
    """
    receipts: dict[str, CommittedDay] = {}
    asked = run_days(context)
    days = DayRange(max(since, asked.first), asked.last)
    is_whole = days == asked

    def record(day: CommittedDay) -> None:
        receipts[str(day.day)] = day
        metadata = day_metadata(day)
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=str(day.day), metadata=metadata))
        if is_whole:
            context.add_asset_metadata(metadata, partition_key=str(day.day))
        events.committed(day)

    def on_progress(moment: FetchProgress) -> None:
        if moment.committed is not None:
            record(moment.committed)

    try:
        with asset_span(context, chat):
            to_read = days if events.force else unsealed(store, chat.slug, days)
            report = telegram.fetch(chat, to_read, on_progress) if to_read else None
            for day in report.resumed_days if report else ():
                record(receipt(store, chat.slug, day))
            for day in days:
                if str(day) not in receipts:
                    record(receipt(store, chat.slug, day))
        last = max(receipts)
        facts = fetch_metadata(report) if report else {}
        if is_whole:
            context.add_asset_metadata({**facts, **preview(store, chat.slug, receipts[last])}, partition_key=last)
    except TgPipelineError as error:
        events.failing(error)
        raise_to_dagster(error, chat.slug, retry_number=context.retry_number, now=time.time())
    return dict(sorted(receipts.items()))


def of_command(tags: Mapping[str, str]) -> Mapping[str, str]:
    """What log lines of a run say of the command that caused it."""
    command = command_of(tags)
    return {"command_id": command.id, "mode": command.mode} if command else {}


def unsealed(store: DayStore, slug: str, days: DayRange) -> DayRange | None:
    """From the first to the last day that is not archived and sealed; None where all are."""

    def is_open(day: date) -> bool:
        try:
            header = store.header(slug, day)
        except DayFileError:
            return True
        return header is None or not header.sealed

    still = [day for day in days if is_open(day)]
    return DayRange(still[0], still[-1]) if still else None
