"""Dagster's instance: its history, and what is written to it without a run."""

import socket
from collections.abc import Iterable

import dagster as dg

from tg_pipeline.contracts.errors import SessionMissing, SettingsError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.dagster_client.materializations import materialization
from tg_pipeline.dagster_client.names import POOL, messages_key
from tg_pipeline.dagster_internals.event_log import keep_event_logs_open, one_transaction
from tg_pipeline.dagster_internals.instances import SqlRunStorage
from tg_pipeline.settings import Settings

DAYS_PER_TRANSACTION = 100
"""A fraction of a second; a Dagster that runs meanwhile waits so long before it can write."""


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance whose home the settings name; use as a context manager. Works whether Dagster is running or not.

    Raises SettingsError where the home, its dagster.yaml or its databases are no good.
    """
    keep_event_logs_open()
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        return dg.DagsterInstance.from_config(str(settings.home))
    except Exception as error:  # Dagster, SQLAlchemy, YAML and the file system each have errors of their own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise SettingsError(
            f"Dagster's home {settings.home} cannot be used: {reason[0]} See dagster.yaml there."
        ) from error


def owner_of(instance: dg.DagsterInstance) -> str:
    """The same for all daemons that share Dagster's database, since each can follow what another launched."""
    storage = instance.run_storage
    return storage.get_run_storage_id() if isinstance(storage, SqlRunStorage) else socket.gethostname()


def set_pool_limits(instance: dg.DagsterInstance, settings: Settings) -> int:
    """Let as many runs read Telegram at once as there are sessions, up to FETCH_CONCURRENCY, and at least one."""
    from tg_pipeline.telegram.sessions import load_sessions  # noqa: PLC0415 - brings Telethon

    try:
        sessions = len(load_sessions(settings.home / "sessions", settings.session_secrets))
    except SessionMissing:
        sessions = 0
    limit = max(1, min(sessions, settings.fetch_concurrency))
    instance.event_log_storage.set_concurrency_slots(POOL, limit)
    return limit


def report_days(instance: dg.DagsterInstance, slug: str, days: Iterable[CommittedDay]) -> int:
    """Report days to Dagster that were fetched without it, as if it had fetched them; how many were reported.

    Days that did not change and that it shows as materialized already are left out.
    """
    key = messages_key(slug)
    shown = instance.get_materialized_partitions(key)
    news = [day for day in days if day.changed or str(day.day) not in shown]
    for start in range(0, len(news), DAYS_PER_TRANSACTION):
        with one_transaction(instance.event_log_storage):
            for day in news[start : start + DAYS_PER_TRANSACTION]:
                instance.report_runless_asset_event(materialization(key, day))
    return len(news)
