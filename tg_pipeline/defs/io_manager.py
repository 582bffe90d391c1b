"""Archived days as the values of assets."""

from collections.abc import Mapping
from datetime import date
from typing import Any, get_origin

import dagster as dg

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.day_file import DayFile
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.fetch import CommittedDay


class DayFileIOManager(dg.IOManager):
    """For assets keyed `telegram/<slug>/...` with days as partitions, in any run: of a day or of a range.

    Registered as DAY_FILES: such an asset names it, `@dg.asset(io_manager_key="day_files")`. An asset that only takes
    day files as inputs does not.

    Such an asset returns a DayFile, which is written; or `{partition key: CommittedDay}`, receipts for files that are
    written already, because a day may be larger than memory: they are held to what lies there.

    An input is a DayFile where the run and the partition mapping give it one day. It is `{partition key: DayFile}` for
    several, and always where the run is one over a range or the input is annotated as a mapping.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def handle_output(self, context: dg.OutputContext, obj: DayFile | Mapping[str, CommittedDay]) -> None:
        """Write the DayFile, or check the receipts. A StorageError where a file is not what its receipt says."""
        if isinstance(obj, DayFile):
            self._write(context, obj)
            return
        if set(obj) != set(context.asset_partition_keys):
            missing = sorted(set(context.asset_partition_keys) - set(obj))
            raise StorageError(f"{_name(context)}: no receipt for {', '.join(missing) or 'the run'}.")
        for key, given in obj.items():
            found = self._archive.receipt(_slug(context), date.fromisoformat(key))
            if found.content_sha256 != given.content_sha256:
                raise StorageError(f"{found.path} was changed by somebody else while this run was reading the chat.")

    def load_input(self, context: dg.InputContext) -> DayFile | dict[str, DayFile]:
        """One day or several, as the class says. A FileNotFoundError where a day is not archived, as Dagster wants."""
        slug, keys = _slug(context), context.asset_partition_keys
        for key in keys:
            if self._archive.header(slug, date.fromisoformat(key)) is None:
                raise FileNotFoundError(self._archive.where(slug, date.fromisoformat(key)))
        loaded = {key: self._archive.load(slug, date.fromisoformat(key)) for key in keys}
        if len(keys) == 1 and context.has_partition_key and not _wants_mapping(context):
            return loaded[keys[0]]
        return loaded

    def _write(self, context: dg.OutputContext, document: DayFile) -> None:
        if (document.chat, str(document.date)) != (_slug(context), context.partition_key):
            raise StorageError(
                f"{_name(context)}: the day file of {document.chat} on {document.date} was returned for "
                f"{_slug(context)} on {context.partition_key}."
            )
        context.add_output_metadata({"path": dg.MetadataValue.path(self._archive.replace(document).path)})


def _name(context: dg.OutputContext) -> str:
    return context.asset_key.to_user_string()


def _slug(context: dg.InputContext | dg.OutputContext) -> str:
    return context.asset_key.path[1]


def _wants_mapping(context: dg.InputContext) -> bool:
    wanted: Any = context.dagster_type.typing_type
    origin = get_origin(wanted) or wanted
    return isinstance(origin, type) and issubclass(origin, Mapping)
