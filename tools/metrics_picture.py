"""Takes the picture of docs/metrics.md: `python tools/metrics_picture.py`, with prometheus, chromium and chromedriver.

Starts the demo's servers, `tg-pipeline serve` and a real Prometheus with the rules of deploy/, fetches days of some
chats for some minutes, and writes what Prometheus draws of recorded series to `docs/images/metrics.png`.
"""

# ruff: noqa: INP001 - a script, part of no package

import asyncio
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tg_pipeline.app.chats import register
from tg_pipeline.cli.options import today_utc
from tg_pipeline.cli.showcase.stage import Stage, child, free_port, own_directory, running
from tg_pipeline_tests.ui.browser import browser

PROJECT: Final = Path(__file__).resolve().parents[1]
IMAGE: Final = PROJECT / "docs" / "images" / "metrics.png"
CHATS: Final = ("demo_busy", "demo_channel", "demo_channel_chat", "demo_quiet")
ROUNDS: Final = 8
QUERIES: Final = (
    "sum by (chat) (increase(tg:messages_fetched_total[1m]))",
    "histogram_quantile(0.95, sum by (le) (increase(tg:fetch_duration_seconds_bucket[2m])))",
)
SETTLING_SECONDS = 8.0


def main() -> None:
    """Fetch, and take the picture."""
    with own_directory() as directory, running(directory, ["--seed", "1"]) as stage:
        for username in CHATS:
            asyncio.run(register(stage.settings, f"@{username}", None))
        serving, watching = free_port(), free_port()
        config = directory / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: 2s, evaluation_interval: 2s}}\n"
            f"rule_files: ['{PROJECT}/deploy/prometheus/rules/*.yml']\n"
            f"scrape_configs:\n  - job_name: tg-pipeline\n    static_configs:\n"
            f"      - {{targets: ['127.0.0.1:{serving}'], labels: {{way: scrape}}}}\n"
        )
        tsdb = f"--storage.tsdb.path={directory / 'tsdb'}"
        prometheus = ["prometheus", f"--config.file={config}", tsdb, f"--web.listen-address=127.0.0.1:{watching}"]
        serve = [sys.executable, "-m", "tg_pipeline.cli.main", "serve", "--port", str(serving)]
        with (
            child("serve", serve, stage.environment(), directory),
            child("prometheus", prometheus, stage.environment(), directory),
        ):
            fetch(stage)
            draw(f"http://127.0.0.1:{watching}/graph")


def fetch(stage: Stage) -> None:
    """Days of each chat, one process a range, further back each round."""
    time.sleep(SETTLING_SECONDS)
    for back in range(ROUNDS):
        first, last = today_utc() - timedelta(days=4 * back + 4), today_utc() - timedelta(days=4 * back + 1)
        for chat in CHATS:
            command = ["fetch", chat, "--from", str(first), "--to", str(last)]
            subprocess.run(
                [sys.executable, "-m", "tg_pipeline.cli.main", *command],
                env=stage.environment(),
                cwd=stage.directory,
                check=True,
                capture_output=True,
            )


def draw(url: str) -> None:
    """Both graphs on one page."""
    wanted = {}
    for number, query in enumerate(QUERIES):
        graph = {"expr": query, "tab": "0", "stacked": "0", "range_input": "3m"}
        wanted |= {f"g{number}.{key}": value for key, value in graph.items()}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        browser(Path(profile), width=1200, height=1750) as window,
    ):
        window.open(f"{url}?{urlencode(wanted)}")
        time.sleep(SETTLING_SECONDS)
        IMAGE.write_bytes(window.screenshot())


if __name__ == "__main__":
    main()
