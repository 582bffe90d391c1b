"""What `dagster.define_asset_job` returns. Waits for a public name of the type."""

from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

__all__ = ["UnresolvedAssetJobDefinition"]
