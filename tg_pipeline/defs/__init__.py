"""Dagster definitions: assets, their IO manager, checks, jobs, schedules, sensors, resources and hooks.

No file here may begin with `from __future__ import annotations`: Dagster reads the annotations of `context` parameters.
"""
