"""Writes what is made of the list of metrics: `python tools/monitoring.py [--to DIRECTORY]`, by default the project.

    deploy/prometheus/rules/series.yml            one recorded series `tg:<name>` for every metric of CATALOG
    deploy/grafana/dashboards/tg-pipeline.json    the dashboard, which asks for recorded series only
    docs/metrics.md                               the page about metrics, with the list

The same sums are scraped and pushed. A counter is the larger of both: nothing counts twice, and either may be away. A
gauge is what was scraped; what was pushed last stands in for it while nothing can be scraped, and for no more than
five minutes, which is when Prometheus forgets a series too.
"""

# ruff: noqa: INP001 - a script, part of no package

import argparse
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models

from tg_pipeline.observability.metrics import CATALOG, Metric

PROJECT: Final = Path(__file__).resolve().parents[1]
SERIES: Final = Path("deploy/prometheus/rules/series.yml")
DASHBOARD: Final = Path("deploy/grafana/dashboards/tg-pipeline.json")
PAGE: Final = Path("docs/metrics.md")


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the recorded series, the dashboard and the page of metrics.")
    parser.add_argument("--to", type=Path, default=PROJECT, help="instead of the project")
    to: Path = parser.parse_args().to
    board = JSONEncoder(sort_keys=True, indent=2).encode(overview())
    for path, text in ((SERIES, series()), (DASHBOARD, board), (PAGE, page())):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_text(text + "\n")


# --- recorded series --------------------------------------------------------------------------------------------------

PUSH_FRESH_SECONDS: Final = 300
LASTING: Final = ("scheduler_last_tick_ts_seconds", "scheduler_interval_seconds")
"""Gauges that are true however old the push is: a daemon that is dead pushes no others."""

HEAD: Final = """\
# Made by tools/monitoring.py from the list of metrics (tg_pipeline/observability/metrics.py). Do not edit.
groups:
  - name: series
    rules:
      - record: tg:source_up
        expr: max by (way) (up{job=~"tg-pipeline|pushgateway"})
      - record: tg:push_age_seconds
        expr: max by (job, instance) (time() - push_time_seconds{way="push"})"""


def series() -> str:
    """The file of recording rules."""
    return "\n".join([HEAD, *(rule for name in sorted(CATALOG) for rule in _recordings(CATALOG[name]))])


def _recordings(metric: Metric) -> Iterator[str]:
    if metric.kind == "gauge" and metric.name not in LASTING:
        yield _record(metric.name, _gauge(metric))
    elif metric.kind in {"gauge", "counter"}:
        yield _record(metric.name, _largest(metric.name, *metric.labels))
    else:
        yield _record(f"{metric.name}_bucket", _largest(f"{metric.name}_bucket", *metric.labels, "le"))
        for part in ("count", "sum"):
            yield _record(f"{metric.name}_{part}", _largest(f"{metric.name}_{part}", *metric.labels))


def _record(name: str, expression: str) -> str:
    return f"      - record: tg:{name}\n        expr: >-\n          {expression}"


def _largest(selector: str, *labels: str) -> str:
    return f"max by ({', '.join(labels)}) ({selector})"


def _gauge(metric: Metric) -> str:
    scraped = _largest(f'{metric.name}{{way!="push"}}', *metric.labels)
    fresh = f"and on (job, instance) (tg:push_age_seconds < {PUSH_FRESH_SECONDS})"
    pushed = _largest(f'{metric.name}{{way="push"}} {fresh}', *metric.labels)
    return f"""{scraped}
          or (
            {pushed}
            unless on () (tg:source_up{{way="scrape"}} == 1)
          )"""


# --- page -------------------------------------------------------------------------------------------------------------

ABOUT: Final = """\
# Metrics

`tg-pipeline serve` (and `tg-pipeline up`, beside Dagster) answers Prometheus at `http://127.0.0.1:9464/metrics`. With
`PUSHGATEWAY_URL` the same numbers are pushed: at the end of every fetch, every METRICS_PUSH_INTERVAL_SECONDS while
one runs, and by the sensor `metrics`, which also brings what killed runs had counted. METRICS_MODE chooses: `scrape`,
`push` (there is no `/metrics` then), or `both`.

**Counted** metrics are sums in the state store: Redis where one is set, else `state/shared.sqlite` in the instance
home. Each process adds what it counted in one batch, once a second, at the end of a fetch, and when it ends. A process
that is killed (SIGKILL) loses what it counted in its last second. A process with thousands of series flushes less
often, so that this takes at most 2 % of its time. A gauge has the value that was flushed last.

A metric never fails a fetch. While the store cannot be written (full disk, damaged file) one warning says so and what
was counted waits in the process, one number a series; it is lost if the process ends before. While Redis is away
batches wait in the instance home, are added when it is back, once, and count from then on; until then `/metrics`
leaves counted metrics out and the Pushgateway keeps those it has. A store that is lost or set aside begins again at 0,
which Prometheus takes for a restart.

**Derived** metrics are read where the state is kept when Prometheus asks: breakers, budgets and whether Redis is away
in the state store, commands and events in Redis, runs in Dagster's history.

In `both` the same sums come by two ways. Use the recorded series `tg:<name>` of
[series.yml](../deploy/prometheus/rules/series.yml), as the dashboard and the alerts do: they take the larger of the
two, so that nothing counts twice and either way may be away. They want the scrape jobs to say which way is which, by
a label `way` of `scrape` or `push`, and `honor_labels: true` for the Pushgateway. Machines that share a Redis have one
sum of what is counted, and each of them serves it. What is derived from Dagster's history or the instance home
(`runs_total`, `telegram_sessions`, the last tick) is of one home: of several the largest is shown.

![messages fetched by chat, and the 95th percentile of durations](images/metrics.png)

Above: a demo's fetches, a process each, as Prometheus draws the recorded series (`python tools/metrics_picture.py`).

| name | type | labels | a value of 1 is | | what |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page about metrics."""
    return ABOUT + "\n".join(
        f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.unit} | {_origin(one)} | {one.help} |"
        for one in sorted(CATALOG.values(), key=lambda one: (bool(one.reserved), one.name))
    )


def _origin(metric: Metric) -> str:
    return f"to come: {metric.reserved}" if metric.reserved else "derived" if metric.derived else "counted"


# --- dashboard --------------------------------------------------------------------------------------------------------

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
CHATS: Final = 'chat=~"$chat"'
GREEN, ORANGE, RED = "green", "orange", "red"
Panel = timeseries.Panel | stat.Panel | statetimeline.Panel


def overview() -> models.Dashboard:
    """All panels, row by row."""
    board = (
        dashboard.Dashboard("tg-pipeline")
        .uid("tg-pipeline")
        .tags(["tg-pipeline"])
        .description(
            "Fetches, Telegram's limits, commands, freshness and objectives. Panels of what is absent are empty."
        )
        .timezone("utc")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("chat")
            .label("Chat")
            .datasource(SOURCE)
            .query("label_values(tg:fetch_duration_seconds_count, chat)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)  # noqa: FBT003 - the SDK's way
            .include_all(True)  # noqa: FBT003 - the SDK's way
            .all_value(".*")
        )
        .with_variable(
            dashboard.CustomVariable("window")
            .label("Counted over")
            .values("5m,30m,1h,6h,1d")
            .current(models.VariableOption(selected=True, text="1h", value="1h"))
        )
    )
    number = count(1)
    for title, panels in _rows():
        board.with_row(dashboard.Row(title).id(next(number)))
        for panel in panels:
            board.with_panel(panel.id(next(number)))
    return board.build()


def _rows() -> Iterator[tuple[str, tuple[Panel, ...]]]:
    yield "Objectives", (_burn("1h", 14.4), _burn("6h", 6), _burn("3d", 1), _sources())
    yield "Fetches, by chat", _fetches()
    yield "Telegram's limits", _limits()
    yield "Commands and events", _commands()
    yield "Near-live scheduler", _near_live()
    yield "Data quality", _quality()


def _burn(window: str, limit: float) -> Panel:
    return _lines(
        f"Error budgets burnt, over {window}",
        (f"tg:slo_burn:{window}", "{{slo}}"),
        about=f"1 uses a budget up in exactly its time. An alert is sent above {limit:g}.",
        steps=[(0, GREEN), (limit, RED)],
    )


def _sources() -> Panel:
    panel = _timeline(
        "Where the numbers come from", ("tg:source_up", "{{way}}"), {0: ("away", RED), 1: ("there", GREEN)}
    )
    return panel.description("Scraped from `tg-pipeline serve`, and pushed to the Pushgateway. Either is enough.")


def _fetches() -> tuple[Panel, ...]:
    ended = f"tg:fetch_duration_seconds_count{{{CHATS}}}[$window]"
    failed = f'tg:fetch_duration_seconds_count{{{CHATS}, status="failed"}}[$window]'
    buckets = f'tg:fetch_duration_seconds_bucket{{{CHATS}, status="success"}}[$window]'
    return (
        _lines("Fetches", (f"sum by (chat) (increase({ended}))", "{{chat}}")),
        _lines("Fetches that failed", (f"sum by (chat) (increase({failed}))", "{{chat}}")),
        _lines(
            "Duration, 95th percentile",
            (f"histogram_quantile(0.95, sum by (chat, le) (increase({buckets})))", "{{chat}}"),
            unit="s",
            about="Of fetches that succeeded. The objective is 120 s.",
            steps=[(0, GREEN), (120, RED)],
        ),
        _lines(
            "Freshness",
            (f"tg:fetch_lag_seconds{{{CHATS}}}", "{{chat}}"),
            unit="s",
            about="Since a fetch last reached the chat's newest message. The near-live objective is 600 s.",
            steps=[(0, GREEN), (600, RED)],
        ),
        _lines(
            "Messages fetched", (f"sum by (chat) (increase(tg:messages_fetched_total{{{CHATS}}}[$window]))", "{{chat}}")
        ),
        _lines(
            "Runs",
            ("increase(tg:runs_successful_total[$window])", "successful"),
            ("increase(tg:runs_total[$window])", "all"),
        ),
    )


def _limits() -> tuple[Panel, ...]:
    return (
        _lines(
            "Learned rate against floods",
            ("tg:learned_rate_per_second", "{{source}}: calls a second"),
            ("sum by (source) (increase(tg:rate_limit_hits_total[$window]))", "{{source}}: floods"),
            about="A flood lowers the rate; quiet raises it again.",
        ),
        _lines(
            "Waits that Telegram asked for",
            ("tg:floodwait_remaining_seconds", "{{source}}: left"),
            ("increase(tg:floodwait_asked_seconds_total[$window])", "asked"),
            ("increase(tg:floodwait_slept_seconds_total[$window])", "slept"),
            unit="s",
        ),
        _timeline(
            "Circuit breaker",
            ("tg:breaker_state", "{{component}}"),
            {0: ("closed", GREEN), 1: ("open", RED), 2: ("half-open", ORANGE)},
        ),
        _lines("Breaker openings", ("increase(tg:breaker_open_total[$window])", "{{component}}")),
        _lines("Calls", ("sum by (target) (increase(tg:telegram_calls_total[$window]))", "{{target}}")),
        _lines(
            "Calls made again",
            ("sum by (reason) (increase(tg:retries_total[$window]))", "{{reason}}"),
        ),
        _lines("Pause before the last call made again", ("tg:last_retry_delay_seconds", "{{target}}"), unit="s"),
        _lines("Sessions", ("tg:telegram_sessions", "{{state}}")),
        _timeline(
            "State store",
            ("tg:state_store_degraded", "store"),
            {0: ("as set", GREEN), 1: ("local, Redis is away", RED)},
        ),
    )


def _commands() -> tuple[Panel, ...]:
    return (
        _lines("Commands that ended", ("increase(tg:commands_total[$window])", "{{status}}")),
        _lines(
            "Age of the oldest command",
            ("tg:commands_oldest_age_seconds", "oldest"),
            ("tg:commands_untaken_seconds", "not taken"),
            unit="s",
        ),
        _lines("Commands, by place", ("tg:commands_queue_depth", "{{place}}")),
        _lines("Events published", ("increase(tg:events_published_total[$window])", "{{event}}")),
        _lines(
            "Since the last tick",
            ("time() - tg:scheduler_last_tick_ts_seconds", "since the last tick"),
            ("2 * tg:scheduler_interval_seconds", "two intervals"),
            unit="s",
            about="Of the sensor or daemon that is the longest silent.",
        ),
        _lines("Queued runs that do not move", ("tg:runs_stalled_seconds", "stalled"), unit="s"),
    )


def _near_live() -> tuple[Panel, ...]:
    return (
        _lines("Age of the watermark", ("tg:parser_hwm_age_seconds", "{{channel_id}}"), unit="s"),
        _lines("Empty ticks", ("increase(tg:parser_empty_ticks_total[$window])", "empty ticks")),
        _lines("Historical fetches forced", ("increase(tg:parser_mode_forced_total[$window])", "{{reason}}")),
        _lines("Posts, by mode", ("increase(tg:posts_parsed_total[$window])", "{{mode}}")),
        _lines("Attempts to take the lock", ("increase(tg:scheduler_lock_acquired_total[$window])", "{{status}}")),
        _lines("Fetches made again", ("increase(tg:parser_retries_total[$window])", "{{reason}}")),
        _lines("Waited in fetches", ("increase(tg:parser_floodwait_seconds_total[$window])", "waited"), unit="s"),
    )


def _quality() -> tuple[Panel, ...]:
    return (
        _lines("Days that break a rule", (f"increase(tg:validation_failures_total{{{CHATS}}}[$window])", "{{chat}}")),
        _lines("Duplicates archived", (f"increase(tg:duplicates_total{{{CHATS}}}[$window])", "{{chat}}")),
        _lines("Missing fields", (f"tg:share_of_missing_fields{{{CHATS}}}", "{{chat}} {{field}}"), unit="percentunit"),
        _lines(
            "Messages that came twice, kept once",
            ("increase(tg:deduplicated_messages_total[$window])", "{{source}}"),
        ),
    )


def _lines(
    title: str,
    *queries: tuple[str, str],
    unit: str = "short",
    about: str = "",
    steps: list[tuple[float, str]] | None = None,
) -> Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(8)
        .height(7)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(shapes.LegendDisplayMode.LIST)
            .placement(shapes.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003 - the SDK's way
        )
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    )
    if steps:
        panel.thresholds(_thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        )
    for name, (query, legend) in zip("AB", queries, strict=False):
        panel.with_target(_query(query, legend).ref_id(name))
    return panel


def _timeline(title: str, query: tuple[str, str], states: dict[int, tuple[str, str]]) -> statetimeline.Panel:
    panel = (
        statetimeline.Panel().title(title).datasource(SOURCE).span(8).height(7).with_target(_query(*query).ref_id("A"))
    )
    options = {
        str(value): models.ValueMappingResult(text=text, color=color, index=value)
        for value, (text, color) in states.items()
    }
    return panel.mappings([models.ValueMap(options=options)]).thresholds(
        _thresholds([(float(value), color) for value, (_, color) in states.items()])
    )


def _query(expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).range()


def _thresholds(steps: list[tuple[float, str]]) -> dashboard.ThresholdsConfig:
    (_, lowest), *rest = steps
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(color=lowest), *(models.Threshold(value=value, color=color) for value, color in rest)])
    )


if __name__ == "__main__":
    main()
