from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from tg_pipeline.contracts.day_file import Condition, describe
from tg_pipeline.dagster_client.names import job_name, messages_key
from tg_pipeline.defs.checks import DAY_FILE, evaluate_day
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline.storage.spool import DaySpool
from tg_pipeline_tests.defs.pipeline import Pipeline, range_tags
from tg_pipeline_tests.telegram_account import FIRST_DAY, first_days

KEY = messages_key("busy")


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str | None, dg.AssetCheckEvaluation]:
    return {evaluation.partition: evaluation for evaluation in result.get_asset_check_evaluations()}


def check_only(pipeline: Pipeline, days: int) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("check_only", dg.AssetSelection.checks(dg.AssetCheckKey(KEY, DAY_FILE)))
    defs = dg.Definitions.merge(pipeline.defs, dg.Definitions(jobs=[job]))
    return defs.resolve_job_def("check_only").execute_in_process(
        instance=pipeline.instance, tags=range_tags(first_days(days))
    )


def damage(pipeline: Pipeline) -> None:
    path = Path(pipeline.store.where("busy", FIRST_DAY))
    path.write_bytes(path.read_bytes().replace(b'"text":"', b'"text":"forged ', 1))


def test_each_day_of_a_range_is_checked_for_itself(busy: Pipeline) -> None:
    found = evaluations(busy.run("busy", first_days(3)))
    assert sorted(map(str, found)) == [str(day) for day in first_days(3)]
    assert all(evaluation.passed for evaluation in found.values())


def test_a_run_of_one_day_checks_that_day(busy: Pipeline) -> None:
    assert list(evaluations(busy.run("busy", FIRST_DAY))) == [str(FIRST_DAY)]


def test_a_forged_file_fails_its_day_and_no_other_and_blocks_nothing(busy: Pipeline) -> None:
    busy.run("busy", first_days(3))
    damage(busy)

    result = check_only(busy, 3)

    assert result.success
    found = evaluations(result)
    assert [evaluation.passed for _, evaluation in sorted(found.items())] == [False, True, True]
    bad = found[str(FIRST_DAY)]
    assert bad.severity is dg.AssetCheckSeverity.ERROR
    assert not bad.blocking
    assert "content_sha256" in str(bad.metadata["damaged"].value)
    assert bad.description == bad.metadata["damaged"].value


@pytest.mark.parametrize(
    ("condition", "severity"),
    [
        (Condition(kind="not_visible", first_id=5), dg.AssetCheckSeverity.WARN),
        (Condition(kind="held_back", count=12), dg.AssetCheckSeverity.ERROR),
    ],
)
def test_what_keeps_a_day_from_being_whole_warns_or_fails(
    tmp_path: Path, condition: Condition, severity: dg.AssetCheckSeverity
) -> None:
    store = FileArchive(UPath(tmp_path / "data"))
    with DaySpool(tmp_path, "read") as spool:
        store.commit("busy", -1, FIRST_DAY, spool, sealed=True, now=0, conditions=[condition])
    found = evaluate_day(store, "busy", KEY, str(FIRST_DAY))
    assert (found.passed, found.severity) == (False, severity)
    assert found.description == describe(condition)


def test_a_day_without_a_file_fails(busy: Pipeline) -> None:
    found = evaluations(check_only(busy, 1))
    assert "missing" in found[str(FIRST_DAY)].metadata


def test_the_job_of_a_chat_has_its_checks(busy: Pipeline) -> None:
    job = busy.defs.resolve_job_def(job_name("busy"))
    assert dg.AssetCheckKey(KEY, DAY_FILE) in job.asset_layer.asset_graph.asset_check_keys
