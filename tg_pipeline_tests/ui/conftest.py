"""A demo's stage."""

import asyncio
from collections.abc import Iterator

import pytest

from tg_pipeline.app.chats import register
from tg_pipeline.cli.showcase.stage import Stage, dagster, own_directory, running

CHATS = ("demo_channel", "demo_channel_chat", "demo_quiet")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The simulator's demo world, three of its chats registered, Dagster's webserver and daemon."""
    with own_directory() as directory, running(directory, ["--seed", "1"]) as stage:
        for username in CHATS:
            asyncio.run(register(stage.settings, f"@{username}", None))
        with dagster(stage):
            yield stage
