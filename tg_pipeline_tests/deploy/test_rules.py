import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from tg_pipeline.observability import metrics
from tg_pipeline.observability.metrics import CATALOG
from tg_pipeline_tests.deploy.places import (
    ALERTS,
    OF_RULES,
    PROJECT,
    RECORDED,
    RESERVED,
    RULE_TESTS,
    RULES,
    RUNBOOKS,
    SOURCE,
    labels_of,
    labels_of_recorded,
    load,
    metrics_in,
    promtool,
    rules,
    run,
)
from tg_pipeline_tests.deploy.promql import asked_for

OF_PROMETHEUS = {"up": {"job", "way"}, "push_time_seconds": {"job", "instance", "way"}}
"""What Prometheus and the Pushgateway tell of themselves; `way` is set in prometheus.yml."""


@promtool
def test_prometheus_accepts_the_rules() -> None:
    run("promtool", "check", "rules", *RULES)


@promtool
@pytest.mark.slow
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_are_silent_when_not(path: Path) -> None:
    run("promtool", "test", "rules", path)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested_firing_and_silent(alert: str) -> None:
    tested = [
        case
        for path in RULE_TESTS
        for test in load(path)["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == alert
    ]
    fired = {expected["exp_labels"]["severity"] for case in tested for expected in case["exp_alerts"]}
    assert fired == {rule["labels"]["severity"] for rule in rules("alert") if rule["alert"] == alert}
    assert any(not case["exp_alerts"] for case in tested)


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_every_alert_says_what_it_is_and_where_to_read_on(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert (PROJECT / rule["annotations"]["runbook_url"]).is_file()


def test_every_runbook_is_of_an_alert_and_has_its_four_parts() -> None:
    pages = {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md") if path.stem != "README"}
    assert sorted(pages) == ALERTS
    for text in pages.values():
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
            "What it means",
            "Look at",
            "Do",
            "Call for help",
        ]


def test_every_metric_of_the_list_is_recorded() -> None:
    parts = {"histogram": ("_bucket", "_count", "_sum")}
    wanted = {f"tg:{metric.name}{part}" for metric in CATALOG.values() for part in parts.get(metric.kind, ("",))}
    assert wanted <= RECORDED


@pytest.mark.parametrize("rule", rules("record"), ids=lambda rule: rule["record"])
def test_a_recorded_series_asks_for_what_exists(rule: dict[str, str]) -> None:
    series, labels = asked_for(rule["expr"])
    assert series
    allowed = OF_RULES | {"job", "instance"}
    for name in series - RECORDED:
        known = OF_PROMETHEUS.get(name, labels_of(name))
        assert known is not None, f"{name} is not in the list of metrics"
        allowed |= known
        if name not in OF_PROMETHEUS:
            assert rule["record"] == f"tg:{name}"
            assert known <= labels, "a label is lost"
    for name in series & RECORDED:
        allowed |= labels_of_recorded({name})
    assert labels <= allowed


def test_an_alert_waits_for_nothing_that_is_still_to_come() -> None:
    waiting = {rule["alert"] for rule in rules("alert") if metrics_in(rule["expr"]) & RESERVED}
    assert waiting == {"WatermarkOld"}, "it is of the near-live scheduler"
    derived = [rule for rule in rules("record") if rule["record"].removeprefix("tg:") not in CATALOG]
    assert {rule["record"] for rule in derived if metrics_in(rule["expr"]) & RESERVED} == {"tg:stale_chats:ratio"}


@pytest.mark.parametrize("name", sorted(CATALOG.keys() - RESERVED))
def test_a_metric_of_the_list_is_exported_by_something(name: str) -> None:
    (constant,) = [key for key, value in vars(metrics).items() if _name_of(value) == name]
    users = [path for path in SOURCE.rglob("*.py") if path.name != "metrics.py" or path.parent.name != "observability"]
    assert any(re.search(rf"\bmetrics\.{constant}\b|import .*\b{constant}\b", path.read_text()) for path in users)


def _name_of(value: object) -> str | None:
    """Of a constant of the list of metrics: the name that Prometheus knows."""
    if isinstance(value, Counter):
        return f"{value._name}_total"
    if isinstance(value, Gauge | Histogram):
        return str(value._name)
    return str(value.name) if isinstance(value, metrics.Metric) else None


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_asks_for_recorded_series_only(rule: dict[str, str]) -> None:
    series, labels = asked_for(rule["expr"])
    assert series <= RECORDED
    assert labels <= labels_of_recorded(series)
