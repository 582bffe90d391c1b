"""The assets of a chat."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

import dagster as dg

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.chat import RegisteredChat, identifier
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import DayFileError, TgPipelineError
from tg_pipeline.contracts.fetch import CommittedDay, FetchProgress, FetchReport, OnProgress
from tg_pipeline.contracts.text import count
from tg_pipeline.dagster_client.materializations import DATA_VERSION_TAG, Metadata, materialization
from tg_pipeline.dagster_client.names import CHAT_TAG, DAY_FILES, POOL, messages_key, messages_step
from tg_pipeline.dagster_client.runs import command_of, slugs_of
from tg_pipeline.dagster_internals.outputs import MATERIALIZED_ALREADY
from tg_pipeline.defs.checks import evaluate_day
from tg_pipeline.defs.failures import raise_to_dagster
from tg_pipeline.defs.metadata import fetch_metadata, plain, preview
from tg_pipeline.defs.partitions import daily_partitions, run_days
from tg_pipeline.defs.resources import TelegramResource
from tg_pipeline.defs.run_events import RunEvents, record_failure, record_success
from tg_pipeline.defs.tracing import asset_span
from tg_pipeline.observability import traces
from tg_pipeline.observability.logs import about


class ToFetch(NamedTuple):
    """A chat and the days that a run is to read of it."""

    chat: RegisteredChat
    days: DayRange


def chat_assets(
    chat: RegisteredChat, store: Archive, *, start: date, days_per_run: int, chats: Mapping[str, RegisteredChat]
) -> list[dg.AssetsDefinition]:
    """The chat's assets, in a group of their own.

    `start` is the first partition where the chat itself names none. A backfill runs up to `days_per_run` days a run.
    `chats` are all chats by slug: those that are selected for one run are fetched together.
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
        hooks={record_failure, record_success},
    )
    def messages(
        context: dg.AssetExecutionContext,
        telegram: TelegramResource,
        events: dg.ResourceParam[RunEvents],
    ) -> Iterator[dg.Output[Mapping[str, CommittedDay]]]:
        with about(chat=chat.slug, run_id=context.run.run_id, **of_command(context.run.tags)):
            asked = run_days(context)
            events.begin(context, chat, asked, telegram.settings)
            others = others_to_fetch(context, chats, chat, start)
            if asked.first >= first:
                receipts = fetch_partitions(context, telegram, events, store, chat, others)
                yield dg.Output(receipts, metadata=MATERIALIZED_ALREADY)
            else:
                fetch_rest(context, telegram, events, store, chat, others, first)

    return [messages]


def _describe(chat: RegisteredChat) -> str:
    title = f"{chat.title} ({chat.chat})" if chat.title else chat.chat
    return f"Every message of {plain(title)}, one JSON file a UTC day."


def _facts(chat: RegisteredChat, store: Archive) -> Mapping[str, dg.MetadataValue]:
    facts: dict[str, dg.MetadataValue] = {
        "chat": dg.MetadataValue.text(chat.chat),
        "directory": dg.MetadataValue.path(store.where(chat.slug)),
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
    store: Archive,
    chat: RegisteredChat,
    others: Iterable[ToFetch],
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
        for day in fetch_partitions(context, telegram, events, store, chat, others, since=first):
            context.log_event(evaluate_day(store, chat.slug, context.asset_key, day))


def fetch_partitions(
    context: dg.AssetExecutionContext,
    telegram: TelegramResource,
    events: RunEvents,
    store: Archive,
    chat: RegisteredChat,
    others: Iterable[ToFetch],
    since: date = date.min,
) -> Mapping[str, CommittedDay]:
    """Fetch the run's partitions; the receipts by partition key, ascending. Those before `since` are left out.

    Each day is materialized in Dagster's log the moment its file is in place, so that a run that dies keeps the days
    it has done; the last one when the fetch is over, with what the fetch cost. A step that is tried again does not
    repeat what Dagster shows of the run already. A command that does not force it reads no sealed day again. The
    run's first step begins to fetch the `others` as well.
    """
    receipts: dict[str, CommittedDay] = {}
    last: CommittedDay | None = None
    asked = run_days(context)
    days = DayRange(max(since, asked.first), asked.last)
    shown = shown_versions(context)

    def record(day: CommittedDay, more: Metadata | None = None) -> None:
        receipts[str(day.day)] = day
        if shown.get(str(day.day)) != day.content_sha256:
            context.log_event(materialization(context.asset_key, day, more))
        events.committed(day)

    def on_progress(moment: FetchProgress) -> None:
        nonlocal last
        if moment.committed is not None and moment.committed.day == days.last:
            last = moment.committed
        elif moment.committed is not None:
            record(moment.committed)

    try:
        to_read = days if events.force else unsealed(store, chat.slug, days)
        report = fetch(context, telegram, ToFetch(chat, to_read), others, on_progress) if to_read else None
        for day in days:
            if str(day) not in receipts and day != days.last:
                record(store.receipt(chat.slug, day))
        last = last or store.receipt(chat.slug, days.last)
        record(last, {**(fetch_metadata(report) if report else {}), **preview(store, chat.slug, last)})
    except TgPipelineError as error:
        events.failing(error)
        raise_to_dagster(error, chat.slug, retry_number=context.retry_number, now=time.time())
    finally:
        if last is not None and str(last.day) not in receipts:
            record(last)
        traces.send_now()  # the process may end at once
    return dict(sorted(receipts.items()))


def others_to_fetch(
    context: dg.AssetExecutionContext, chats: Mapping[str, RegisteredChat], chat: RegisteredChat, start: date
) -> Iterator[ToFetch]:
    """The other chats whose steps this run carries out, with those of the run's days that are partitions of theirs."""
    steps, days = context.run.step_keys_to_execute, run_days(context)
    for slug in slugs_of(context.run):
        if slug == chat.slug or (steps is not None and messages_step(slug) not in steps):
            continue
        other = chats.get(slug)
        first = max(days.first, (other.start or start)) if other else date.max
        if other and first <= days.last:
            yield ToFetch(other, DayRange(first, days.last))


def fetch(
    context: dg.AssetExecutionContext,
    telegram: TelegramResource,
    own: ToFetch,
    others: Iterable[ToFetch],
    on_progress: OnProgress,
) -> FetchReport:
    """Fetch the step's own chat, together with the run's others; as `RunFetches.wait`."""
    run, fetches = context.run, telegram.fetches
    for chat, days in [own, *(others if fetches.is_idle else ())]:
        fetches.begin(chat, days, _in_the_run(run, chat, days, context.retry_number))
    return fetches.wait(own.chat.slug, on_progress)


@contextmanager
def _in_the_run(run: dg.DagsterRun, chat: RegisteredChat, days: DayRange, retry_number: int) -> Iterator[None]:
    """What log lines and traces say of a fetch."""
    names = about(chat=chat.slug, run_id=run.run_id, **of_command(run.tags))
    with names, asset_span(run, chat, days, retry_number):
        yield


def shown_versions(context: dg.AssetExecutionContext) -> Mapping[str, str]:
    """What Dagster shows of this run's days since an earlier attempt of the step: their data version."""
    if context.retry_number == 0:
        return {}
    logged = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.asset_materialization for entry in logged if entry.asset_materialization]
    return {
        str(event.partition): (event.tags or {})[DATA_VERSION_TAG]
        for event in events
        if event.asset_key == context.asset_key
    }


def of_command(tags: Mapping[str, str]) -> Mapping[str, str]:
    """What log lines of a run say of the command that caused it."""
    command = command_of(tags)
    return {"command_id": command.id, "mode": command.mode} if command else {}


def unsealed(store: Archive, slug: str, days: DayRange) -> DayRange | None:
    """From the first to the last day that is not archived and sealed; None where all are."""

    def is_open(day: date) -> bool:
        try:
            header = store.header(slug, day)
        except DayFileError:
            return True
        return header is None or not header.sealed

    still = [day for day in days if is_open(day)]
    return DayRange(still[0], still[-1]) if still else None
