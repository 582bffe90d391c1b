"""`tg-pipeline demo`: the main job on a local Telegram, with everything real but Telegram."""

from pathlib import Path
from zoneinfo import ZoneInfo

import click

from tg_pipeline.cli.options import Zone


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="No terminal needed: compare every file with what the simulator holds, stop, exit 0 or 1.",
)
@click.option(
    "--exports",
    type=click.Path(path_type=Path),
    help="A directory of Telegram Desktop exports to serve instead of the demo world.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the demo world.")
@click.option("--timezone", type=Zone(), help="Where the exports were made, for old ones without UTC dates.")
def demo(*, once: bool, exports: Path | None, seed: int, timezone: ZoneInfo | None) -> None:
    """Backfill the last 7 days of the demo chats through Dagster, and show where everything is.

    Starts the simulator, a Redis, Dagster's webserver and daemon on 127.0.0.1, on free ports, with their own home under
    .demo/. Your settings, chats and sessions are not touched. Ctrl-C stops all of it. What you did in the demo before
    is kept in .demo/1.before, until a later one takes its place.
    """
    from tg_pipeline.cli.showcase import show

    show(once=once, exports=exports, seed=seed, timezone=timezone)
