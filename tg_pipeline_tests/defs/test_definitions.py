import json
import keyword
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.job.asset_job import JobScopedAssetGraph
from dagster._core.definitions.utils import DISALLOWED_NAMES
from pydantic import SecretStr
from upath import UPath

from tg_pipeline.contracts.chat import RegisteredChat, is_slug
from tg_pipeline.contracts.day_file import DayFile
from tg_pipeline.dagster_client.names import POOL, messages_key
from tg_pipeline.definitions import build_definitions
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline.settings import PROJECT_DIRECTORY, Settings
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.registry_edit import add_chat
from tg_pipeline_tests.defs.pipeline import register
from tg_pipeline_tests.storage.samples import DAY, SLUG, commit, record


def definitions(home: Path, *slugs: str, **overrides: Any) -> dg.Definitions:
    register(home, *slugs)
    settings = {"chats_file": home / "chats.yaml", "data_uri": str(home), **overrides}
    return build_definitions(Settings(_env_file=None, **settings))


def python(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program with the chats of `home` and nothing else set."""
    environment = os.environ | {"CHATS_FILE": str(home / "chats.yaml"), "DAGSTER_HOME": str(home)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT_DIRECTORY, env=environment, check=False, capture_output=True, text=True)


def test_three_chats_are_three_assets_with_checks_jobs_and_schedules(tmp_path: Path) -> None:
    repository = definitions(tmp_path, "a", "b-c", "d").get_repository_def()
    graph = repository.asset_graph
    assert graph.materializable_asset_keys == {messages_key(slug) for slug in ("a", "b-c", "d")}
    assert len(graph.asset_check_keys) == 3
    assert {"fetch_a", "fetch_b_c", "fetch_d"} <= set(repository.job_names)
    assert {schedule.name for schedule in repository.schedule_defs} == {"fetch_yesterday", "remove_old_history"}
    assert graph.get(messages_key("b-c")).group_name == "b_c"
    assert graph.get(messages_key("b-c")).pools == {POOL}
    assert graph.get(messages_key("a")).kinds == {"telegram", "json"}


@pytest.mark.parametrize("job", ["fetch_a", "per_day_a"])
def test_a_job_of_a_chat_is_resolved_among_the_assets_of_that_chat(tmp_path: Path, job: str) -> None:
    """Among all assets there are, resolving 4,000 jobs of 2,000 chats took 110 s."""
    layer = definitions(tmp_path, "a", "b").resolve_job_def(job).asset_layer
    assert isinstance(layer.asset_graph, JobScopedAssetGraph)
    assert layer.asset_graph.source_asset_graph.get_all_asset_keys() == {messages_key("a")}
    assert [key.asset_key for key in layer.asset_graph.asset_check_keys] == [messages_key("a")]


def test_without_chats_there_is_nothing_and_no_error(tmp_path: Path) -> None:
    found = build_definitions(Settings(_env_file=None, chats_file=tmp_path / "none.yaml"))
    assert not found.get_repository_def().asset_graph.materializable_asset_keys


def test_the_list_of_commands_is_read_as_often_as_the_settings_say(tmp_path: Path) -> None:
    redis = {"redis_url": "redis://127.0.0.1:1/0", "commands_interval_seconds": 30}
    commands = definitions(tmp_path, "a", **redis).get_repository_def().get_sensor_def("commands")
    assert commands.minimum_interval_seconds == 30


def test_a_run_is_tagged_with_its_chat(tmp_path: Path) -> None:
    assert definitions(tmp_path, "a-b").resolve_job_def("fetch_a_b").tags == {"tg/chat": "a-b"}


def test_one_bad_entry_takes_no_other_chat_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    repository = definitions(tmp_path, "a-b", "a_b", "../x", "c").get_repository_def()
    assert repository.asset_graph.materializable_asset_keys == {messages_key(slug) for slug in ("a-b", "c")}
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == ["a_b", "../x"]


RESERVED = sorted(
    {*keyword.kwlist, *keyword.softkwlist, *DISALLOWED_NAMES, "any", "null", "yes", "messages", "telegram"}
)
ODD_SLUGS = [*(word.lower() for word in RESERVED if is_slug(word.lower())), "1", "007", "2024-01-01", "a__b", "x" * 63]
ODD_SLUGS += ["yesterday", "old_history", "default", "commands", "__asset_job".strip("_"), "a-_-b", "con", "id-5"]


def test_dagster_takes_every_slug_that_may_be_registered(tmp_path: Path) -> None:
    (tmp_path / "chats.yaml").touch()
    slugs = dict.fromkeys(ODD_SLUGS)
    for number, slug in enumerate(slugs):
        add_chat(tmp_path / "chats.yaml", RegisteredChat(slug=slug, chat=f"-{number + 1}", start=date(2024, 1, 1)))
    settings = Settings(
        _env_file=None, chats_file=tmp_path / "chats.yaml", redis_url=SecretStr("redis://127.0.0.1:1/0")
    )
    repository = build_definitions(settings).get_repository_def()
    repository.load_all_definitions()
    assert repository.asset_graph.materializable_asset_keys == {messages_key(slug) for slug in slugs}


def test_an_asset_of_ones_own_returns_what_it_likes_and_takes_day_files(tmp_path: Path) -> None:
    @dg.asset
    def mapping() -> dict[str, int]:
        return {"x": 1}

    @dg.asset(
        ins={"day": dg.AssetIn(messages_key(SLUG)), "mapping": dg.AssetIn("mapping")},
        partitions_def=daily_partitions(DAY),
    )
    def counts(day: DayFile, mapping: dict[str, int]) -> dict[str, int]:
        return mapping | {"messages": day.message_count}

    commit(FileArchive(UPath(tmp_path)), tmp_path / "spool", [record(1), record(2)])
    defs = dg.Definitions.merge(definitions(tmp_path, SLUG), dg.Definitions(assets=[mapping, counts]))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        results = []
        for asset, day in ((mapping, None), (counts, str(DAY))):
            job = defs.resolve_implicit_job_def_def_for_assets([asset.key])
            assert job is not None
            results.append(job.execute_in_process(instance=instance, asset_selection=[asset.key], partition_key=day))
        assert results[-1].output_for_node("counts") == {"x": 1, "messages": 2}


def test_chats_may_begin_on_different_days(tmp_path: Path) -> None:
    (tmp_path / "chats.yaml").write_text(
        "chats:\n  - {slug: a, chat: '@a', start: 2024-01-01}\n  - {slug: b, chat: '@b', start: 2025-01-01}\n"
    )
    settings = Settings(_env_file=None, chats_file=tmp_path / "chats.yaml", start_date=date(2023, 1, 1))
    repository = build_definitions(settings).get_repository_def()
    repository.load_all_definitions()
    partitions = [repository.asset_graph.get(messages_key(slug)).partitions_def for slug in ("a", "b")]
    assert [p.get_first_partition_key() for p in partitions if p] == ["2024-01-01", "2025-01-01"]


def test_loading_imports_nothing_that_only_fetching_needs(tmp_path: Path) -> None:
    register(tmp_path, "a")
    heavy = ("telethon", "redis", "pandas", "numpy", "cryptg", "dagster_graphql", "httpx")
    script = f"import json, sys, tg_pipeline.definitions; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = python(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_commands_import_no_http_before_they_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(tmp_path, "a")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    script = "import sys, tg_pipeline.definitions; print('httpx' in sys.modules, 'redis' in sys.modules)"
    done = python(tmp_path, "-c", script)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_what_dagster_writes_is_as_private_as_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMASK", "027")
    done = python(tmp_path, "-c", "import os, tg_pipeline.definitions; print(oct(os.umask(0)))")
    assert done.stdout.strip() == "0o27", done.stderr


def test_a_wrong_chats_file_is_one_sentence_without_the_way_to_it(tmp_path: Path) -> None:
    register(tmp_path, "a")
    (tmp_path / "chats.yaml").write_text("chats: 5\n")
    done = python(tmp_path, "-c", "import tg_pipeline.definitions")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "chats.yaml, line 1: " in lines[-1]
    assert sum(line.lstrip().startswith("File ") for line in lines) == 2
