"""Everything that knows Dagster: assets, their IO manager, checks, jobs, schedules, and talk with a running instance.

No file here may begin with `from __future__ import annotations`: Dagster reads the annotations of `context` parameters.
"""
