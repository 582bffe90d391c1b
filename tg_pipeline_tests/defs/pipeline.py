"""A whole instance for a test: a simulated Telegram, definitions of its chats, a Dagster instance on SQLite."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from tg_pipeline.app.archive import open_archive
from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.instance import open_instance
from tg_pipeline.dagster_client.names import job_name, messages_key
from tg_pipeline.definitions import build_definitions
from tg_pipeline.settings import Settings
from tg_pipeline.simulator import World
from tg_pipeline_tests.defs.databases import lay_databases
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, account
from tg_pipeline_tests.unpaced import UNPACED

MAX_RETRIES = 2
INSTANCE_FILE = f"""
telemetry: {{enabled: false}}
run_retries: {{enabled: true, max_retries: {MAX_RETRIES}, retry_on_asset_or_op_failure: false}}
"""


@dataclass(frozen=True)
class Pipeline:
    """`account` is the login at the simulator; `instance` Dagster's memory."""

    account: Account
    instance: dg.DagsterInstance

    @cached_property
    def defs(self) -> dg.Definitions:
        return build_definitions(self.account.settings)

    @property
    def store(self) -> Archive:
        return open_archive(self.account.settings)

    def run(self, slug: str, days: DayRange | date, **options: Any) -> dg.ExecuteInProcessResult:
        """The chat's job over a range in one run, or over one day."""
        job = self.defs.resolve_job_def(job_name(slug))
        if isinstance(days, date):
            return job.execute_in_process(instance=self.instance, partition_key=str(days), **options)
        return job.execute_in_process(instance=self.instance, tags=range_tags(days), **options)

    def green(self, slug: str) -> set[str]:
        """The days that Dagster shows as materialized."""
        return set(self.instance.get_materialized_partitions(messages_key(slug)))

    def latest(self, slug: str, day: date) -> dg.AssetMaterialization:
        """What Dagster shows of the day."""
        found = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(messages_key(slug), asset_partitions=[str(day)]), limit=1
        )
        materialization = found.records[0].asset_materialization
        assert materialization is not None
        return materialization


def range_tags(days: DayRange) -> dict[str, str]:
    """The tags of a run over a range."""
    return {
        "dagster/asset_partition_range_start": str(days.first),
        "dagster/asset_partition_range_end": str(days.last),
    }


def environment_of(account: Account) -> dict[str, str]:
    """What a child process needs to work with the account's settings."""
    settings = account.settings
    return os.environ | {
        "TELEGRAM_API_ID": str(settings.telegram_api_id),
        "TELEGRAM_API_HASH": account.simulator.api_hash,
        "TELEGRAM_SESSIONS": ",".join(settings.session_secrets),
        "TELEGRAM_SERVER_PUBLIC_KEY": str(settings.telegram_server_public_key),
        "DAGSTER_HOME": str(settings.home),
        "DATA_URI": settings.data_uri,
        "CHATS_FILE": str(settings.chats_path),
        "XDG_STATE_HOME": str(settings.xdg_state_home),
        "PARALLELISM_MAX": str(settings.parallelism_max),
        "FETCH_PAGES_IN_FLIGHT": str(settings.fetch_pages_in_flight),
        **{key.upper(): str(value) for key, value in UNPACED.items()},
    }


def register(home: Path, *slugs: str, start: date = FIRST_DAY) -> None:
    """Write `chats.yaml`: each chat is `@<slug>` and begins on `start`."""
    lines = [f'  - {{slug: {slug}, chat: "@{slug}", start: {start}}}\n' for slug in slugs]
    (home / "chats.yaml").write_text("".join(["chats:\n", *lines]))


@contextmanager
def pipeline(world: World, home: Path, *slugs: str, **overrides: Any) -> Iterator[Pipeline]:
    """A simulator of `world` and an instance in `home` with these chats registered; `overrides` are settings."""
    register(home, *slugs)
    lay_databases(home / "instance")
    (home / "instance" / "dagster.yaml").write_text(INSTANCE_FILE)
    with (
        account(world, home, **overrides) as found,
        secrets_in_environment(found.settings),
        open_instance(found.settings) as instance,
    ):
        yield Pipeline(found, instance)


@contextmanager
def secrets_in_environment(settings: Settings) -> Iterator[None]:
    """While the block runs the environment gives the secrets, as the resources of a run want it."""
    found = {name.upper(): getattr(settings, name) for name in Settings.model_fields}
    secrets = {key: value.get_secret_value() for key, value in found.items() if isinstance(value, SecretStr)}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in secrets.items():
            patch.setenv(key, value)
        yield
