"""Takes README's pictures of Dagster's UI: `python tools/screenshot.py`, with chromium and chromedriver on PATH.

Starts the demo's servers, fetches a week of some demo chats through Dagster and writes `docs/images/lineage.png` and
`docs/images/backfill.png`.
"""

# ruff: noqa: INP001 - a script, part of no package

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tg_pipeline.app.chats import register
from tg_pipeline.cli.options import today_utc
from tg_pipeline.cli.showcase.compare import last_days
from tg_pipeline.cli.showcase.stage import Stage, dagster, own_directory, running
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.dagster_client.backfills import launch_backfill, wait_backfill
from tg_pipeline_tests.ui import dagster_pages as pages
from tg_pipeline_tests.ui.browser import Browser, browser

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CHATS = ("demo_busy", "demo_channel", "demo_channel_chat", "demo_quiet")
UNFOLDED = "demo_channel"
WEEK = 7
SIZE = {"width": 1400, "height": 1180}
WITHOUT_PATHS = {"width": 1400, "height": 893}
"""Low enough to leave out the rows that show paths of this machine."""
SETTLING_SECONDS = 3.0


def main() -> None:
    """Take both pictures."""
    with own_directory() as directory, running(directory, ["--seed", "1"]) as stage:
        for username in CHATS:
            asyncio.run(register(stage.settings, f"@{username}", None))
        with dagster(stage):
            take(stage, last_days(today_utc(), WEEK))


def take(stage: Stage, days: DayRange) -> None:
    """Fetch the days and take the pictures."""
    ranges = dict.fromkeys(CHATS, days)
    backfill = launch_backfill(stage.url, ranges)
    wait_backfill(stage.url, backfill, ranges)
    with a_browser(**SIZE) as window:
        pages.open_lineage(window, stage.url)
        pages.unfold(window, UNFOLDED)
        save(window, "lineage")
    with a_browser(**WITHOUT_PATHS) as window:
        pages.open_asset(window, stage.url, f"telegram/{UNFOLDED}/messages", tab="partitions")
        pages.see_green(window, days.last, seconds=60)
        window.click(f"//*[@data-tooltip='{days.last}']")
        save(window, "backfill")


@contextmanager
def a_browser(**size: int) -> Iterator[Browser]:
    """A window of that size on a profile that is thrown away; the browser's children write to it a little longer."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory,
        browser(Path(directory), **size) as window,
    ):
        yield window


def save(window: Browser, name: str) -> None:
    """What is seen, once it has settled."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    time.sleep(SETTLING_SECONDS)
    (IMAGES / f"{name}.png").write_bytes(window.screenshot())


if __name__ == "__main__":
    main()
