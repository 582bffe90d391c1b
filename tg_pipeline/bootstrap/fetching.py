"""One fetch from beginning to end: what the CLI, the assets, schedules and backfills all call."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from tg_pipeline.bootstrap import collector
from tg_pipeline.bootstrap.archive import archived_chat_id, day_store, progress, spool_root
from tg_pipeline.bootstrap.chats import settled
from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.bootstrap.telegram import logged_in
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.clock import Clock, SystemClock
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchReport, OnProgress
from tg_pipeline.contracts.stopping import Stop, StoppableClock
from tg_pipeline.ingest.fetch import Fetch
from tg_pipeline.state.lease import lease
from tg_pipeline.storage.request import PendingRequest
from tg_pipeline.telegram.history import ChatHistory


async def fetch(
    settings: Settings,
    chat: RegisteredChat,
    days: DayRange,
    stop: Stop | None = None,
    *,
    on_progress: OnProgress | None = None,
    clock: Clock | None = None,
) -> FetchReport:
    """Read the range to its end and commit every day of it.

    Interrupted, the next call with the same chat and range goes on where this one stopped. Once a `stop` is asked for,
    what is in hand is finished and Stopped is raised. Raises InputError for a day in the future, LeaseUnavailable, and
    what `contracts.errors` lists; days committed before stay committed.
    """
    stop = stop or Stop()
    clock = StoppableClock(clock or SystemClock(), stop)
    days.not_in_future(datetime.fromtimestamp(clock.now(), UTC).date())
    store = day_store(settings)
    expected_id = chat.id if chat.id is not None else archived_chat_id(store, chat.slug)
    with collector.fetching():
        async with logged_in(settings, clock) as login:
            peer = await login.resolver.resolve(chat.chat, expected_id=expected_id)
            chat = settled(settings, chat, peer)
            report = FetchReport(chat.slug, peer.marked_id, days, meter=login.connection.meter)
            async with _chat_lease(settings, chat.slug, clock):
                now = int(clock.now())
                with PendingRequest.open(
                    spool_root(settings), chat.slug, days, chat_id=peer.marked_id, now=now
                ) as pending:
                    return await Fetch(
                        ChatHistory(login.connection, login.resolver, peer, name=chat.chat, slug=chat.slug),
                        store,
                        progress(settings),
                        pending,
                        report,
                        policy=settings.fetch_policy,
                        clock=clock,
                        stop=stop,
                        on_progress=on_progress,
                    ).run()


def _chat_lease(settings: Settings, slug: str, clock: Clock) -> AbstractAsyncContextManager[str]:
    """One fetch of a chat at a time: of two that overlap, the one that began earlier would undo what the other saw."""
    what, wait = f"The chat {slug}", settings.lease_wait_seconds
    return lease(settings.home / "leases", [f"chat-{slug}"], what=what, wait_seconds=wait, clock=clock)
