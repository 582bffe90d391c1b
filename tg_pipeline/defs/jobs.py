"""The jobs of a chat: what schedules and programs start, and what a person picks in the UI to fetch one chat."""

from typing import Any

import dagster as dg

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.dagster_client.names import CHAT_TAG, job_name, messages_key, per_day_job_name
from tg_pipeline.dagster_internals.jobs import AssetGraph, UnresolvedAssetJobDefinition
from tg_pipeline.defs.metadata import plain


def chat_jobs(chat: RegisteredChat) -> list[UnresolvedAssetJobDefinition]:
    """`fetch_<slug>`, whose backfills are a run for many days, and `per_day_<slug>`, a run for each day.

    Both fetch the chat's days and check them.
    """
    of = plain(chat.title or chat.chat)
    return [
        _OfOneChat(
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


class _OfOneChat(UnresolvedAssetJobDefinition):
    """Dagster looks at every asset there is for each job, which of thousands of chats takes minutes."""

    def resolve(self, asset_graph: AssetGraph, *arguments: Any, **named: Any) -> dg.JobDefinition:
        keys = self.selection.resolve(asset_graph)
        checks = [key for asset in keys for key in asset_graph.get(asset).check_keys]
        own = AssetGraph.from_assets(asset_graph.assets_defs_for_keys([*keys, *checks]))
        return super().resolve(own, *arguments, **named)


class _PerDay(_OfOneChat):
    """Dagster takes a job's backfill policy from its assets, and has no way to say another one."""

    def resolve(self, *arguments: Any, **named: Any) -> dg.JobDefinition:
        job = super().resolve(*arguments, **named)
        job.backfill_policy = dg.BackfillPolicy.multi_run(1)
        return job
