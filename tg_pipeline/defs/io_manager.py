"""Day files as the values of assets: one file a partition, at the path that DayStore gives it."""

from collections.abc import Mapping
from datetime import date
from typing import Any, get_origin

import dagster as dg
from upath import UPath

from tg_pipeline.contracts.day_file import DayFile, DayHeader
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.machine.atomic import replace
from tg_pipeline.storage.day_store import DayStore
from tg_pipeline.storage.layout import SECTIONS, ContentHash, encode, write_day


class DayFileIOManager(dg.UPathIOManager):
    """For assets keyed `telegram/<slug>/...` with days as partitions, in any run: of a day or of a range.

    Registered as DAY_FILES: such an asset names it, `@dg.asset(io_manager_key="day_files")`. An asset that only takes
    day files as inputs does not.

    Such an asset returns a DayFile, which is written; or `{partition key: CommittedDay}`, receipts for files that are
    written already, because a day may be larger than memory: they are held to what lies there.

    An input is a DayFile where the run and the partition mapping give it one day. It is `{partition key: DayFile}` for
    several, and always where the run is one over a range or the input is annotated as a mapping.
    """

    def __init__(self, store: DayStore) -> None:
        super().__init__(store.root)
        self._store = store

    def get_path_for_partition(self, context: dg.InputContext | dg.OutputContext, path: UPath, partition: str) -> UPath:  # noqa: D102 - as the base class says
        del path
        return self._store.path(_slug(context), date.fromisoformat(partition))

    def handle_output(self, context: dg.OutputContext, obj: DayFile | Mapping[str, CommittedDay]) -> None:
        """Write the DayFile, or check the receipts. A StorageError where a file is not what its receipt says."""
        if isinstance(obj, DayFile):
            super().handle_output(context, obj)
            return
        if set(obj) != set(context.asset_partition_keys):
            missing = sorted(set(context.asset_partition_keys) - set(obj))
            raise StorageError(
                f"{context.asset_key.to_user_string()}: no receipt for {', '.join(missing) or 'the run'}."
            )
        for key, given in obj.items():
            found = self._store.receipt(_slug(context), date.fromisoformat(key))
            if found.content_sha256 != given.content_sha256:
                raise StorageError(f"{found.path} was changed by somebody else while this run was reading the chat.")

    def dump_to_path(self, context: dg.OutputContext, obj: DayFile, path: UPath) -> None:  # noqa: ARG002
        """Replace the file at `path`; `content_sha256` is taken anew."""
        sections = [
            [encode(record.model_dump(mode="json", exclude_unset=True)) for record in getattr(obj, name)]
            for name in SECTIONS
        ]
        content_hash = ContentHash()
        for lines in sections:
            content_hash.add(lines)
        header = obj.model_dump(include=set(DayHeader.model_fields)) | {"content_sha256": content_hash.hex()}
        with replace(path) as stream:
            write_day(stream, DayHeader.model_validate(header), sections)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> DayFile:
        """The day file at `path`, checked. A FileNotFoundError where there is none, as Dagster wants it."""
        if not path.exists():
            raise FileNotFoundError(path)
        return self._store.load(_slug(context), date.fromisoformat(path.stem[-len("YYYY-MM-DD") :]))

    def load_partitions(self, context: dg.InputContext) -> DayFile | dict[str, DayFile]:
        """One day or several, as the class says."""
        loaded: DayFile | dict[str, DayFile] = super().load_partitions(context)
        if isinstance(loaded, DayFile) and (not context.has_partition_key or _wants_mapping(context)):
            return {context.asset_partition_keys[0]: loaded}
        return loaded


def _slug(context: dg.InputContext | dg.OutputContext) -> str:
    return context.asset_key.path[1]


def _wants_mapping(context: dg.InputContext) -> bool:
    wanted: Any = context.dagster_type.typing_type
    origin = get_origin(wanted) or wanted
    return isinstance(origin, type) and issubclass(origin, Mapping)
