"""What `make demo` does: a stage of real servers, one backfill through Dagster, and a look at the result."""

from tg_pipeline.cli.showcase.show import show

__all__ = ["show"]
