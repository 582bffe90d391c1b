"""What people do in Dagster's web UI, step by step, as Dagster 1.13 draws it."""

from datetime import date

from tg_pipeline.contracts.days import DayRange
from tg_pipeline_tests.ui.browser import Browser

DIALOG = "//*[@role='dialog']"
GREEN = "--color-accent-green"
"""The UI's own name for the colour of what is materialized."""


def open_lineage(browser: Browser, url: str) -> None:
    """The graph of all assets, each chat folded into its group.

    Asked for while Dagster still starts it may stay empty: then the page is loaded once more, as a person would.
    """
    folded = "//*[local-name()='foreignObject']//*[@aria-label='unfold_more']"
    browser.open(f"{url}/asset-groups")
    try:
        browser.see(folded)
    except TimeoutError:
        browser.open(f"{url}/asset-groups")
        browser.see(folded)


def unfold(browser: Browser, group: str) -> None:
    """Show the assets of a group in the graph."""
    node = f"//*[local-name()='foreignObject'][.//*[@data-tooltip='{group}']]"
    browser.click(f"{node}//*[@aria-label='unfold_more']")
    browser.see(f"{node}//*[@aria-label='unfold_less']")


def see_in_lineage(browser: Browser, asset: str) -> str:
    """The text of an asset's node in the graph; `asset` is its key with slashes."""
    return browser.see(f"//*[local-name()='foreignObject'][.//a[starts-with(@href, '/assets/{asset}?')]]")


def open_asset(browser: Browser, url: str, asset: str, tab: str = "overview") -> None:
    """The page of an asset; `tab` as its address has it."""
    browser.open(f"{url}/assets/{asset}?view={tab}")


def launch_backfill(browser: Browser, days: DayRange) -> str:
    """From an asset's page: Materialize, choose the days, launch. Gives the backfill's id."""
    browser.click("//button[contains(., 'Materialize')]")
    browser.write(f"{DIALOG}//input[@type='text']", f"[{days.first}...{days.last}]\n")
    browser.see(f"{DIALOG}//span[.='{len(days)} partitions']")
    browser.click(f"{DIALOG}//button[contains(., 'Launch backfill')]")
    return browser.see("//*[text()[contains(., 'Created backfill')]]").split()[-1]


def see_green(browser: Browser, day: date, seconds: float) -> None:
    """On an asset's Partitions tab: wait until the day is drawn as materialized."""
    browser.see(f"//*[@data-tooltip='{day}']/following-sibling::*[contains(@style, '{GREEN}')]", seconds)


def open_backfill(browser: Browser, url: str, backfill: str) -> None:
    """The page of a backfill."""
    browser.open(f"{url}/runs/b/{backfill}")
