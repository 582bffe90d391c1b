"""What `dagster.define_asset_job` returns, and what it is resolved against. Waits for public names of the types."""

from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

__all__ = ["AssetGraph", "UnresolvedAssetJobDefinition"]
