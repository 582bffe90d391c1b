"""Backfills started by programs: as if somebody had clicked them together in the UI."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.names import messages_key
from tg_pipeline.dagster_client.webserver import WebserverError, ask
from tg_pipeline.dagster_internals.tags import AUTO_RETRY_RUN_ID_TAG

POLL_SECONDS = 0.5

_ENDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"})
_RUN_ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


@dataclass(frozen=True, slots=True)
class BackfillState:
    """How far a backfill has come. `days_done` counts, per slug, the days fetched since it was launched.

    `failed_runs` are ids of runs that Dagster did not retry; `error` is its own where the backfill as such failed.
    """

    days_done: Mapping[str, int]
    days_total: int
    finished: bool
    failed_runs: tuple[str, ...] = ()
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Every day was fetched."""
        return self.finished and sum(self.days_done.values()) == self.days_total and not self.failed_runs


def launch_backfill(url: str, ranges: Mapping[str, DayRange], *, title: str | None = None) -> str:
    """Fetch each chat (by slug) over its days; the backfill's id. The daemon begins within half a minute.

    Raises InputError for days in the future, and WebserverError where a chat or a day is unknown to the definitions
    that Dagster has loaded.
    """
    known = [node["assetKey"]["path"] for node in ask(url, _KNOWN, keys=[_key(slug) for slug in ranges])]
    for slug, days in ranges.items():
        days.not_in_future(datetime.now(UTC).date())
        if messages_key(slug).path not in known:
            raise WebserverError(f"Dagster at {url} does not know the chat {slug}. Reload its code location.")
    selection = [
        {"assetKey": _key(slug), "partitions": {"range": {"start": str(days.first), "end": str(days.last)}}}
        for slug, days in ranges.items()
    ]
    return str(ask(url, _LAUNCH, params={"partitionsByAssets": selection, "title": title})["backfillId"])


def backfill_state(url: str, backfill_id: str, ranges: Mapping[str, DayRange]) -> BackfillState:
    """How far the backfill has come with what it was launched with.

    Days are counted as they are committed. That all is done shows as soon as the last run has ended; a failure when
    Dagster's daemon has looked at it, up to half a minute later.
    """
    backfill = ask(url, _STATE, id=backfill_id)
    runs = backfill["runs"]
    done = {slug: _days_since(url, slug, days, backfill["timestamp"]) for slug, days in ranges.items()}
    total = sum(map(len, ranges.values()))
    all_ended = bool(runs) and all(run["status"] in _RUN_ENDED for run in runs)
    return BackfillState(
        days_done=done,
        days_total=total,
        finished=backfill["status"] in _ENDED or (all_ended and sum(done.values()) == total),
        failed_runs=tuple(run["id"] for run in runs if run["status"] == "FAILURE" and not _is_retried(run)),
        error=backfill["error"] and backfill["error"]["message"],
    )


def wait_backfill(
    url: str,
    backfill_id: str,
    ranges: Mapping[str, DayRange],
    *,
    on_state: Callable[[BackfillState], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> BackfillState:
    """Look until it has finished, and call `on_state` each time; the last state. There is no time limit."""
    while True:
        state = backfill_state(url, backfill_id, ranges)
        if on_state is not None:
            on_state(state)
        if state.finished:
            return state
        sleep(POLL_SECONDS)


def _days_since(url: str, slug: str, days: DayRange, timestamp: float) -> int:
    node = ask(url, _DAYS, key=_key(slug), days=[str(day) for day in days])
    latest = node["latestMaterializationByPartition"]
    return sum(event is not None and float(event["timestamp"]) / 1000 >= timestamp for event in latest)


def _is_retried(run: Mapping[str, Any]) -> bool:
    return any(tag["key"] == AUTO_RETRY_RUN_ID_TAG for tag in run["tags"])


def _key(slug: str) -> dict[str, list[str]]:
    return {"path": list(messages_key(slug).path)}


_KNOWN = """
query($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) { assetKey { path } } }
"""

_LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""

_STATE = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status timestamp error { message } runs { id status tags { key } } }
    ... on Error { message }
  }
}
"""

_DAYS = """
query($key: AssetKeyInput!, $days: [String!]!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { latestMaterializationByPartition(partitions: $days) { timestamp } }
    ... on AssetNotFoundError { message }
  }
}
"""
