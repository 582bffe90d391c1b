"""The names and labels that rules, dashboards and other services rely on."""

import pytest

from tg_pipeline.observability.metrics import CATALOG


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("scheduler_lock_acquired_total", ["status"]),
        ("scheduler_last_tick_ts_seconds", []),
        ("parser_hwm_age_seconds", ["channel_id"]),
        ("parser_retries_total", ["reason"]),
        ("parser_floodwait_seconds_total", []),
        ("parser_mode_forced_total", ["reason"]),
        ("posts_parsed_total", ["mode"]),
    ],
)
def test_a_metric_of_the_scheduler_has_the_agreed_labels(name: str, labels: list[str]) -> None:
    assert list(CATALOG[name].labels) == labels
