"""One fetch from beginning to end: what the CLI, the assets, schedules and backfills all call."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tg_pipeline.app.accounts import OpenLogin, Wanted, with_reader
from tg_pipeline.app.archive import newest_header, open_archive, spool_root
from tg_pipeline.app.chats import settled
from tg_pipeline.app.freshness import note_read
from tg_pipeline.app.login import Login
from tg_pipeline.app.shared_state import lease_among_machines
from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.days import DayRange, day_end
from tg_pipeline.contracts.errors import CircuitOpen, DeadlineExceeded, NetworkError, ServerError, TgPipelineError
from tg_pipeline.contracts.fetch import FetchProgress, FetchReport, OnProgress
from tg_pipeline.contracts.policy import OUTAGE_RETRIES
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.contracts.stopping import Stop, StoppableClock
from tg_pipeline.ingest.fetch import Fetch
from tg_pipeline.ingest.ownership import confirm_owner
from tg_pipeline.machine import garbage_collection
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.machine.lease import lease
from tg_pipeline.observability import counts
from tg_pipeline.settings import Settings
from tg_pipeline.storage.request import PendingRequest
from tg_pipeline.telegram.history import ChatHistory

OUTAGES = (CircuitOpen, NetworkError, DeadlineExceeded, ServerError)
COUNTDOWN_SECONDS = 30.0

log = logging.getLogger(__name__)


async def fetch(  # noqa: PLR0913 - what is asked for, and what others may replace
    settings: Settings,
    chat: RegisteredChat,
    days: DayRange,
    stop: Stop | None = None,
    *,
    on_progress: OnProgress | None = None,
    clock: Clock | None = None,
    accept_deletions: bool = False,
    open_login: OpenLogin | None = None,
) -> FetchReport:
    """Read the range to its end and commit every day of it, with an account that can read the chat.

    `accept_deletions` as in `Archive.commit`, `open_login` as in `with_reader`. Interrupted, the next call with the
    same chat and range goes on where this one stopped. Once a `stop` is asked for, what is in hand is finished and
    Stopped is raised. Raises InputError for a day in the future, StorageError before anything is called where the
    archive cannot be written, LeaseUnavailable, WrongAccount, and what `contracts.errors` lists; days committed before
    stay committed.
    """
    stop = stop or Stop()
    clock = StoppableClock(clock or SystemClock(), stop)
    days.not_in_future(datetime.fromtimestamp(clock.now(), UTC).date())
    store = open_archive(settings)
    store.check_writable()
    wanted = _wanted(store, chat)

    async def read(login: Login) -> FetchReport:
        return await fetch_with(
            *(login, settings, chat, days, stop),
            chat_id=wanted.chat_id,
            clock=clock,
            on_progress=on_progress,
            accept_deletions=accept_deletions,
        )

    with garbage_collection.fetching():
        try:
            return await with_reader(settings, wanted, read, clock, open_login)
        finally:
            await asyncio.to_thread(counts.flush)


async def fetch_with(  # noqa: PLR0913 - what a fetch is given, and what was found out for it
    login: Login,
    settings: Settings,
    chat: RegisteredChat,
    days: DayRange,
    stop: Stop,
    *,
    chat_id: int | None,
    clock: Clock,
    on_progress: OnProgress | None = None,
    accept_deletions: bool = False,
) -> FetchReport:
    """Fetch one chat with this login, which may serve other chats before and after; otherwise as `fetch`.

    `chat_id` is the chat's marked id where it is known: a name that now belongs to another chat is refused then.
    """
    store = open_archive(settings)
    peer = await login.resolver.resolve(chat.chat, expected_id=chat_id)
    entry = settled(settings, chat, peer, login.resolver.own_id)
    report = FetchReport(entry.slug, peer.marked_id, days, meter=login.connection.meter)
    async with _chat_lease(settings, login.store, entry.slug, clock):
        now = int(clock.now())
        history = ChatHistory(login.connection, login.resolver, peer, name=chat.chat, slug=entry.slug)
        await confirm_owner(
            *(history, store, entry.slug), chat_id=peer.marked_id, days=days, accept_deletions=accept_deletions
        )
        with PendingRequest.open(
            *(spool_root(settings), entry.slug, days),
            chat_id=peer.marked_id,
            account=history.account,
            accept_deletions=accept_deletions,
            now=now,
        ) as pending:
            await Fetch(
                history,
                store,
                pending,
                report,
                policy=settings.fetch_policy,
                clock=clock,
                stop=stop,
                on_progress=on_progress,
                accept_deletions=accept_deletions,
            ).run()
        if not login.is_only:
            login.resolver.note_reading(peer.marked_id, can_read=True, now=clock.now())
        note_read(login.store, entry.slug, min(clock.now(), day_end(days.last)))
        return report


def _wanted(store: Archive, chat: RegisteredChat) -> Wanted:
    """Whom to read it with. What the registry does not know of the chat, its archive may."""
    if chat.id is not None and chat.account is not None:
        return Wanted(chat.chat, chat.id, chat.account)
    archived = newest_header(store, chat.slug)
    if archived is None:
        return Wanted(chat.chat, chat.id, chat.account)
    return Wanted(chat.chat, chat.id or archived.chat_id, chat.account or archived.account)


async def fetch_through_outages(
    settings: Settings,
    chat: RegisteredChat,
    days: DayRange,
    stop: Stop | None = None,
    *,
    on_progress: OnProgress | None = None,
    clock: Clock | None = None,
    accept_deletions: bool = False,
) -> FetchReport:
    """As `fetch`; and goes on by itself after an outage of Telegram or the network, as a step of Dagster's does.

    Session and chat are free for others while it waits for as long as the breaker is open. Gives up after
    OUTAGE_RETRIES in a row without a message read between them. The report is that of the last fetch.
    """
    stop = stop or Stop()
    clock = clock or SystemClock()
    retries = 0

    def watched(moment: FetchProgress) -> None:
        nonlocal retries
        retries = 0 if moment.messages else retries
        if on_progress is not None:
            on_progress(moment)

    while True:
        try:
            return await fetch(
                settings, chat, days, stop, on_progress=watched, clock=clock, accept_deletions=accept_deletions
            )
        except OUTAGES as error:
            if stop.asked or retries >= OUTAGE_RETRIES:
                raise
            retries += 1
            pause = error.seconds if isinstance(error, CircuitOpen) else settings.circuit_breaker_open_timeout_seconds
            await _sit_out(error, math.ceil(pause), StoppableClock(clock, stop))


async def _sit_out(error: TgPipelineError, seconds: int, clock: Clock) -> None:
    log.warning("%s What was read is kept.", error)
    left = float(seconds)
    while left > 0:
        log.warning("Going on by itself in %.0f s.", left)
        nap = min(left, COUNTDOWN_SECONDS)
        await clock.sleep(nap)
        left -= nap


@asynccontextmanager
async def _chat_lease(settings: Settings, store: StateStore, slug: str, clock: Clock) -> AsyncIterator[None]:
    """One fetch of a chat at a time: of two that overlap, the one that began earlier would undo what the other saw."""
    what, directory = f"The chat {slug}", settings.home / "leases"
    async with (
        lease(directory, [f"chat-{slug}"], what=what, wait_seconds=settings.lease_wait_seconds, clock=clock),
        lease_among_machines(settings, store, f"chat:{slug}", directory, what=what, clock=clock),
    ):
        yield
