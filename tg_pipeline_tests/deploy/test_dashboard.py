import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tg_pipeline_tests.deploy.places import (
    DASHBOARD,
    PROJECT,
    RECORDED,
    RESERVED,
    labels_of_recorded,
    metrics_in,
    promtool,
    run,
)
from tg_pipeline_tests.deploy.promql import asked_for

BOARD = json.loads(DASHBOARD.read_text())


QUERIES = [(panel["title"], target) for panel in BOARD["panels"] for target in panel.get("targets", [])]
EXPRESSIONS = [target["expr"] for _, target in QUERIES]


def test_what_is_checked_in_is_what_the_tool_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "tools/monitoring.py", "--to", tmp_path], cwd=PROJECT, check=True)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert len(written) == 3
    for path in written:
        assert (tmp_path / path).read_text() == (PROJECT / path).read_text(), "run python tools/monitoring.py"


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_panel_asks_for_recorded_series_and_their_labels(title: str, query: dict[str, str]) -> None:
    series, labels = asked_for(query["expr"])
    assert series, title
    assert series <= RECORDED
    assert labels <= labels_of_recorded(series)
    assert set(re.findall(r"{{(\w+)}}", query["legendFormat"])) <= labels_of_recorded(series)


def test_a_panel_that_waits_for_what_is_still_to_come_is_in_a_row_of_it() -> None:
    row, waiting = "", set()
    for panel in BOARD["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        queries = [target["expr"] for target in panel.get("targets", [])]
        if any(metrics_in(query) & RESERVED for query in queries):
            waiting.add(row)
    assert waiting == {"Near-live scheduler", "Data quality"}


def test_panels_have_numbers_of_their_own_and_their_queries_too() -> None:
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in BOARD["panels"]:
        names = [target["refId"] for target in panel.get("targets", [])]
        assert all(names)
        assert len(set(names)) == len(names)


def test_what_is_absent_is_not_drawn_as_zero() -> None:
    assert " or vector(" not in DASHBOARD.read_text()
    assert '"noValue"' not in DASHBOARD.read_text()


@promtool
def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    expressions = [text.replace("$window", "1h").replace("$chat", ".*") for text in EXPRESSIONS]
    group = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": group}]}))
    run("promtool", "check", "rules", tmp_path / "panels.yml")
