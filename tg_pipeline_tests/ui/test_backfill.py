from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tg_pipeline.app.archive import open_archive
from tg_pipeline.cli.showcase.compare import differences
from tg_pipeline.cli.showcase.stage import Stage
from tg_pipeline.contracts.days import DayRange
from tg_pipeline_tests.ui import dagster_pages as pages
from tg_pipeline_tests.ui.browser import browser, missing_programs
from tg_pipeline_tests.ui.conftest import CHATS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("live"),
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"not installed: {', '.join(missing_programs())} (Debian: apt-get install chromium chromium-driver)",
    ),
]

SLUG = "demo_channel"
ASSET = f"telegram/{SLUG}/messages"
ALL_CHATS_UNFOLDED = 1800
"""Height of a window in which the graph needs no scrolling, in pixels: what is out of sight is not in the document."""
BACKFILL_SECONDS = 150.0
"""Dagster's daemon looks for backfills every 30 s; a run takes some seconds to start."""


def test_a_range_of_days_is_fetched_by_clicking_and_turns_green(stage: Stage, tmp_path: Path) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    days = DayRange(yesterday - timedelta(days=4), yesterday)

    with browser(tmp_path, height=ALL_CHATS_UNFOLDED) as window:
        pages.open_lineage(window, stage.url)
        for slug in CHATS:
            pages.unfold(window, slug)
        for slug in CHATS:
            assert "messages" in pages.see_in_lineage(window, f"telegram/{slug}/messages")

        pages.open_asset(window, stage.url, ASSET)
        backfill = pages.launch_backfill(window, days)
        pages.open_asset(window, stage.url, ASSET, tab="partitions")
        for day in days:
            pages.see_green(window, day, BACKFILL_SECONDS)
        assert window.see("//label[contains(., 'Materialized')]") == f"Materialized ({len(days)})"

        window.click(f"//*[@data-tooltip='{days.last}']")
        assert window.see("//td[.='content_sha256']/following-sibling::td")
        pages.open_backfill(window, stage.url, backfill)
        window.see("//*[.='Succeeded']", BACKFILL_SECONDS)

    assert list(differences(open_archive(stage.settings), stage.control, SLUG, SLUG, days)) == []
    assert list(open_archive(stage.settings).days(SLUG)) == list(days)
