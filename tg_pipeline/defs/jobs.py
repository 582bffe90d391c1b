"""The jobs of a chat: what schedules and programs start, and what a person picks in the UI to fetch one chat."""

from typing import Any

import dagster as dg

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.dagster_client.names import CHAT_TAG, job_name, messages_key, per_day_job_name
from tg_pipeline.dagster_internals.jobs import UnresolvedAssetJobDefinition
from tg_pipeline.defs.metadata import plain


def chat_jobs(chat: RegisteredChat) -> list[UnresolvedAssetJobDefinition]:
    """`fetch_<slug>`, whose backfills are a run for many days, and `per_day_<slug>`, a run for each day.

    Both fetch the chat's days and check them.
    """
    of = plain(chat.title or chat.chat)
    return [
        dg.define_asset_job(
            job_name(chat.slug), _selection(chat), tags={CHAT_TAG: chat.slug}, description=f"Fetch days of {of}."
        ),
        _PerDay(
            per_day_job_name(chat.slug),
            _selection(chat),
            tags={CHAT_TAG: chat.slug},
            description=f"Fetch days of {of}, each of a backfill's in a run of its own.",
        ),
    ]


def _selection(chat: RegisteredChat) -> dg.AssetSelection:
    return dg.AssetSelection.assets(messages_key(chat.slug))


class _PerDay(UnresolvedAssetJobDefinition):
    """Dagster takes a job's backfill policy from its assets, and has no way to say another one."""

    def resolve(self, *arguments: Any, **named: Any) -> dg.JobDefinition:
        job = super().resolve(*arguments, **named)
        job.backfill_policy = dg.BackfillPolicy.multi_run(1)
        return job
