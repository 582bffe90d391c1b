"""The benchmarks themselves, in sizes that say nothing of speed."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from tg_pipeline_tests.bench.__main__ import main


@pytest.mark.nightly
def test_a_quick_run_fills_every_table_and_judges_the_aims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_QUICK", "1")
    output = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["--only", "bulk", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    group = orjson.loads(output.read_bytes())["bulk"]
    assert list(group["tables"]) == ["speed", "shapes", "memory", "dagster"]
    assert [row["reader"] for row in group["tables"]["speed"]["rows"]] == [
        "bare loop",
        "fetch, 1 in flight",
        "fetch, 2 in flight",
    ]
    one_page = group["tables"]["speed"]["rows"][1]
    assert one_page["history calls"] <= one_page["ceil(N/100)"] + 1
    assert {aim["aim"].partition(":")[0] for aim in group["aims"]} >= {"one day", "one page in flight"}
    assert "messages/s" in done.output


@pytest.mark.nightly
def test_a_quick_run_against_a_hidden_rate_draws_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_QUICK", "1")
    output = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["--only", "rate", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = orjson.loads(output.read_bytes())["rate"]["tables"]["rate"]["rows"]
    assert {row["reader"] for row in rows} == {"tg-pipeline", "Telethon's iter_messages", "no waiting"}
    assert all(row["calls"] == 50 + row["floods"] for row in rows)
    assert (tmp_path / "rate.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.nightly
def test_the_stack_is_measured_over_every_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_QUICK", "1")
    output = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["--only", "stack", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = orjson.loads(output.read_bytes())["stack"]["tables"]["overhead of the stack"]["rows"]
    assert [row["state"] for row in rows] == ["SQLite", "Redis", "one read of Redis"]
    assert all(row["ms a call"] > 0 for row in rows)


@pytest.mark.nightly
def test_what_observing_costs_is_measured_in_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_QUICK", "1")
    output = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["--only", "observability", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (row,) = orjson.loads(output.read_bytes())["observability"]["tables"]["observability"]["rows"]
    assert (row["messages"], row["pairs"]) == (202, 1)
    assert row["observed / unobserved"] > 0


@pytest.mark.nightly
def test_commands_are_timed_beside_runs_launched_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_QUICK", "1")
    output = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["--only", "commands", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    tables = orjson.loads(output.read_bytes())["commands"]["tables"]
    ways, ticks = (table["rows"] for table in tables.values())
    assert [row["number"] for row in ways] == [1, 1, 1]
    assert all(row["median"] > 0 for row in ways)
    assert ticks[0]["number"] >= 2, "ticks that launched"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("group", "first"),
    [
        ("chats_at_once", {"PARALLELISM_MAX": 1, "messages": 1_200}),
        ("quiet_chats", {"runs measured": 2}),
        ("definitions", {"chats": 10}),
    ],
)
def test_many_chats_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, first: dict[str, int]
) -> None:
    monkeypatch.setenv("BENCH_QUICK", "1")
    output = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["--only", group, "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (table,) = orjson.loads(output.read_bytes())[group]["tables"].values()
    assert len(table["rows"]) >= 2
    assert first.items() <= table["rows"][0].items()


def test_an_unknown_group_is_refused_with_the_names_of_those_there_are() -> None:
    done = CliRunner().invoke(main, ["--only", "nothing"])
    assert done.exit_code == 2
    assert "bulk" in done.output
