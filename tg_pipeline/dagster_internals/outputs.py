"""An output whose partitions are materialized in the log already. Waits for a result of each partition (dagster#21072).

Dagster materializes every partition of a step's output when the step ends (execute_step.py, 1.13.27:
_log_materialization_or_observation_events_for_asset), also those that the step logged as they were done, and skips
that for outputs with this metadata, which its own observable sources carry.
"""

from typing import Final

from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

MATERIALIZED_ALREADY: Final = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of such an output. The output is stored, and whatever is downstream of it runs, as always."""
