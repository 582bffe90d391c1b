"""A demo's stage with a browser in front of it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline.bootstrap.chats import register
from tg_pipeline.cli.showcase.stage import Stage, dagster, own_directory, running
from tg_pipeline_tests.ui.browser import Browser, browser

CHATS = ("demo_channel", "demo_channel_chat", "demo_quiet")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The simulator's demo world, three of its chats registered, Dagster's webserver and daemon."""
    with own_directory() as directory, running(directory, [], seed=1) as stage:
        for username in CHATS:
            asyncio.run(register(stage.settings, f"@{username}", None))
        with dagster(stage):
            yield stage


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path) as window:
        yield window
