"""The child process behind `many_chats`: `run` fetches a day of chats in one run, `definitions` loads those of many.

Prints one JSON line. A person's settings do not reach it: `environment` gives every key.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tg_pipeline.settings import PROJECT_DIRECTORY, Settings
from tg_pipeline_tests.bench.local_telegram import FIRST_DAY, LocalTelegram
from tg_pipeline_tests.unpaced import UNPACED

Found = dict[str, Any]


def make_home(home: Path, slugs: Sequence[str]) -> None:
    """An instance in `home` with these chats registered."""
    (home / "home").mkdir()
    (home / "home" / "dagster.yaml").write_bytes((PROJECT_DIRECTORY / "dagster.yaml").read_bytes())
    lines = [f"  - {{slug: {slug}, chat: '@{slug}', start: {FIRST_DAY}}}\n" for slug in slugs]
    (home / "chats.yaml").write_text("".join(["chats:\n", *lines]))


def environment(home: Path, telegram: LocalTelegram | None = None, chats_at_once: int = 2) -> Mapping[str, str]:
    """Every setting; those that are not about `home` or this server are the defaults."""
    login = {
        "telegram_api_id": telegram.api_id if telegram else "",
        "telegram_api_hash": telegram.api_hash if telegram else "",
        "telegram_session": telegram.session if telegram else "",
    }
    place = {
        "dagster_home": home / "home",
        "data_uri": home / "data",
        "chats_file": home / "chats.yaml",
        "xdg_state_home": home / "state",
    }
    given = dict.fromkeys(Settings.model_fields, "") | login | place | {"parallelism_max": chats_at_once} | UNPACED
    return {key.upper(): str(value) for key, value in given.items()}


def run(day: str, slugs: Sequence[str]) -> Found:
    """One run over the day of these chats, with their checks."""
    from dagster import DagsterInstance

    from tg_pipeline.dagster_client.names import PARTITION_TAG, messages_key
    from tg_pipeline.definitions import defs

    with DagsterInstance.get() as instance:
        began = time.perf_counter()
        done = (
            defs.get_repository_def()
            .get_job("__ASSET_JOB")
            .execute_in_process(
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                asset_selection=[messages_key(slug) for slug in slugs],
                tags={PARTITION_TAG: day},
            )
        )
        seconds = time.perf_counter() - began
    metadata = [event.materialization.metadata for event in done.all_events if event.is_step_materialization]
    sums: Counter[str] = Counter()
    for of_chat in metadata:
        sums.update({name: of_chat[key].value for name, key in _SUMMED.items()})
    return {"seconds": seconds, "chats": len(metadata), **sums}


_SUMMED = {"messages": "dagster/row_count", "calls": "fetch/calls"}


def definitions() -> Found:
    """Load them as a run and as a code server does, and serialize what the latter hands to daemon and webserver."""
    began, cpu = time.perf_counter(), time.process_time()
    from tg_pipeline.definitions import defs

    repository = defs.get_repository_def()
    repository.get_job("fetch_chat0000")
    for_a_run = time.perf_counter() - began
    repository.load_all_definitions()
    loaded, loaded_cpu = time.perf_counter() - began, time.process_time() - cpu
    from dagster._core.remote_representation.external_data import JobDataSnap, RepositorySnap
    from dagster._serdes import serialize_value

    snapshot = serialize_value(RepositorySnap.from_def(repository, defer_snapshots=True))
    any_assets = repository.get_job("__ASSET_JOB")
    keys = sorted(repository.asset_graph.materializable_asset_keys)[1:]
    run = any_assets.get_subset(asset_selection=set(keys)) if keys else any_assets
    job = serialize_value(JobDataSnap.from_job_def(run, include_parent_snapshot=True))
    return {
        "run_seconds": for_a_run,
        "load_seconds": loaded,
        "load_cpu_seconds": loaded_cpu,
        "snapshot_bytes": len(snapshot),
        "job_bytes": len(job),
    }


MEASURED: dict[str, Callable[..., Found]] = {"run": run, "definitions": definitions}


def main() -> None:
    """Do what the first argument names with the JSON array of arguments in the second."""
    found = MEASURED[sys.argv[1]](*orjson.loads(sys.argv[2]))
    sys.stdout.buffer.write(orjson.dumps(found) + b"\n")


if __name__ == "__main__":
    main()
