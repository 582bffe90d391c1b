"""Day files as inputs and outputs of assets, on a disk and in object storage, in runs of a day and of a range."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from upath import UPath

from tg_pipeline.contracts.day_file import DayFile
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.dagster_client.names import DAY_FILES, messages_key
from tg_pipeline.defs.io_manager import DayFileIOManager
from tg_pipeline.defs.partitions import daily_partitions
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.defs.pipeline import range_tags
from tg_pipeline_tests.storage.samples import DAY, SLUG, commit, record

KEY = messages_key(SLUG)
DAYS = DayRange(DAY, DAY + timedelta(days=2))
PARTITIONS = daily_partitions(DAY)
Value = DayFile | Mapping[str, CommittedDay]
Make = Callable[[list[str]], Value]


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileArchive]:
    root = UPath(tmp_path / "data") if request.param == "disk" else UPath("memory://io-manager")
    yield FileArchive(root)
    if request.param == "memory" and root.exists():
        root.fs.rm(root.path, recursive=True)


@pytest.fixture
def receipts(store: FileArchive, tmp_path: Path) -> dict[str, CommittedDay]:
    """Three days that are in place."""
    return {
        str(day): commit(store, tmp_path, [record(n * 10 + m, day=day) for m in (1, 2)], day=day)
        for n, day in enumerate(DAYS)
    }


def messages(make: Make) -> dg.AssetsDefinition:
    @dg.asset(key=KEY, partitions_def=PARTITIONS, io_manager_key=DAY_FILES)
    def written(context: dg.AssetExecutionContext) -> Any:
        return make(list(context.partition_keys))

    return written


def reader(annotation: Any, seen: list[Any]) -> dg.AssetsDefinition:
    def body(messages: Any) -> None:
        seen.append(messages)

    body.__annotations__ = {"messages": annotation, "return": None}
    return dg.asset(key=["telegram", SLUG, "seen"], ins={"messages": dg.AssetIn(KEY)}, partitions_def=PARTITIONS)(body)


def run(store: FileArchive, days: DayRange | date, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    options: dict[str, Any] = {"tags": range_tags(days)} if isinstance(days, DayRange) else {"partition_key": str(days)}
    return dg.materialize(
        [*assets, dg.AssetSpec(KEY, partitions_def=PARTITIONS).with_io_manager_key(DAY_FILES)]
        if assets[0].key != KEY
        else assets,
        selection=list(assets),
        resources={DAY_FILES: DayFileIOManager(store)},
        **options,
    )


def test_receipts_of_a_range_are_held_to_the_files(store: FileArchive, receipts: dict[str, CommittedDay]) -> None:
    assert run(store, DAYS, messages(lambda keys: {key: receipts[key] for key in keys})).success


def test_a_receipt_of_one_day_is_held_to_its_file(store: FileArchive, receipts: dict[str, CommittedDay]) -> None:
    assert run(store, DAY, messages(lambda keys: {key: receipts[key] for key in keys})).success


def test_a_receipt_for_another_content_is_refused(store: FileArchive, receipts: dict[str, CommittedDay]) -> None:
    wrong = {key: replace(day, content_sha256="0" * 64) for key, day in receipts.items()}
    with pytest.raises(StorageError, match="was changed by somebody else"):
        run(store, DAYS, messages(lambda _: wrong))


def test_a_receipt_for_a_file_that_is_not_there_is_refused(
    store: FileArchive, receipts: dict[str, CommittedDay]
) -> None:
    store.path(SLUG, DAYS.last).unlink()
    with pytest.raises(StorageError, match="does not exist"):
        run(store, DAYS, messages(lambda _: receipts))


@pytest.mark.parametrize("days", [DAYS, DayRange(DAY, DAY)])
def test_receipts_must_be_those_of_the_run(
    store: FileArchive, receipts: dict[str, CommittedDay], days: DayRange
) -> None:
    del receipts[str(DAY)]
    with pytest.raises(StorageError, match="no receipt for"):
        run(store, days, messages(lambda _: receipts))


def test_a_day_file_that_is_returned_is_written_byte_for_byte(
    store: FileArchive, receipts: dict[str, CommittedDay]
) -> None:
    path = store.path(SLUG, DAY)
    before = path.read_bytes()
    loaded = store.load(SLUG, DAY)
    path.unlink()

    assert run(store, DAY, messages(lambda _: loaded)).success

    assert path.read_bytes() == before


def test_one_day_comes_as_a_day_file(store: FileArchive, receipts: dict[str, CommittedDay]) -> None:
    seen: list[DayFile] = []
    run(store, DAY, reader(DayFile, seen))
    assert [message.id for message in seen[0].messages] == [1, 2]


def test_a_range_comes_as_a_mapping(store: FileArchive, receipts: dict[str, CommittedDay]) -> None:
    seen: list[dict[str, DayFile]] = []
    run(store, DAYS, reader(dict[str, DayFile], seen))
    assert {key: day.message_count for key, day in seen[0].items()} == dict.fromkeys(receipts, 2)


@pytest.mark.parametrize("annotation", [dict[str, DayFile], Any])
def test_a_range_of_one_day_comes_as_a_mapping_too(
    store: FileArchive, receipts: dict[str, CommittedDay], annotation: Any
) -> None:
    seen: list[dict[str, DayFile]] = []
    run(store, DayRange(DAY, DAY), reader(annotation, seen))
    assert list(seen[0]) == [str(DAY)]


def test_an_input_annotated_as_a_mapping_is_one_in_a_run_of_a_day(
    store: FileArchive, receipts: dict[str, CommittedDay]
) -> None:
    seen: list[Mapping[str, DayFile]] = []
    run(store, DAY, reader(Mapping[str, DayFile], seen))
    assert list(seen[0]) == [str(DAY)]


def test_a_missing_day_says_which_file(store: FileArchive, receipts: dict[str, CommittedDay]) -> None:
    store.path(SLUG, DAY).unlink()
    with pytest.raises(FileNotFoundError, match="discussions_2025-03-14"):
        run(store, DAYS, reader(dict[str, DayFile], []))
