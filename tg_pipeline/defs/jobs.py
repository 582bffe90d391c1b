"""A job a chat: what schedules and programs start, and what a person picks in the UI to fetch one chat."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.defs.names import CHAT_TAG, job_name, messages_key


def chat_job(chat: RegisteredChat) -> UnresolvedAssetJobDefinition:
    """`fetch_<slug>`: the chat's days and their checks."""
    return dg.define_asset_job(
        job_name(chat.slug),
        dg.AssetSelection.assets(messages_key(chat.slug)),
        tags={CHAT_TAG: chat.slug},
        description=f"Fetch days of {chat.title or chat.chat}.",
    )
