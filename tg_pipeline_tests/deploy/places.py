"""Where the deploy folder's files are, and what the rules in it record and alert on."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tg_pipeline.observability.metrics import CATALOG
from tg_pipeline_tests.deploy.promql import asked_for

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "tg-pipeline.json"
RUNBOOKS = PROJECT / "docs" / "runbooks"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules(kind: str) -> list[dict[str, Any]]:
    """Every rule that has a `record`, or an `alert`."""
    groups = [group for path in RULES for group in load(path)["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = sorted({rule["alert"] for rule in rules("alert")})
RECORDED = {rule["record"] for rule in rules("record")}
RESERVED = {name for name, metric in CATALOG.items() if metric.reserved}
"""Metrics that nothing exports yet."""
SOURCE = PROJECT / "tg_pipeline"
OF_RULES = {"slo", "way"}
"""Labels that recorded series have and no metric does."""

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not on PATH")


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def labels_of(series: str) -> set[str] | None:
    """Those that the list of metrics gives it; None where it knows no such series."""
    name, _, part = series.rpartition("_")
    if name in CATALOG and CATALOG[name].kind == "histogram" and part in {"bucket", "count", "sum"}:
        return {*CATALOG[name].labels, *({"le"} if part == "bucket" else ())}
    if series in CATALOG and CATALOG[series].kind != "histogram":
        return set(CATALOG[series].labels)
    return None


def metrics_in(expression: str) -> set[str]:
    """The metrics of the list that an expression asks for, themselves or as recorded series."""
    return {name.removeprefix("tg:") for name in asked_for(expression)[0]} & CATALOG.keys()


def labels_of_recorded(series: set[str]) -> set[str]:
    """Labels that any of these recorded series may have."""
    return OF_RULES | {label for name in series for label in labels_of(name.removeprefix("tg:")) or ()}
