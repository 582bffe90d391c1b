"""Settings for a server that limits nothing: a test or benchmark of other things is not to wait for tokens."""

from typing import Any

UNPACED: dict[str, Any] = {
    "rate_limit_strategy": "fixed",
    "rate_limit_per_second": 100_000,
    "rate_limit_burst": 10_000,
    "rate_limit_strict_per_second": 100_000,
    "rate_limit_strict_burst": 10_000,
}
